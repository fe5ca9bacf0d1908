/** The parser, loaded with the first file that is read: our own catalogue is compiled, and starts without it. */
import { createRequire } from "node:module";

const load = createRequire(import.meta.url);

export function yaml(): typeof import("yaml") {
  return load("yaml") as typeof import("yaml");
}
