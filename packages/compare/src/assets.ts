/** Files that a report carries inside: its style, and what runs in the browser. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** @param name of a file in `page/` */
export function readAsset(name: string): string {
  return readFileSync(fileURLToPath(new URL(`../page/${name}`, import.meta.url)), "utf8");
}
