/** What the catalogue's cells name by an id: rules that expectations follow from, and the code that was posted. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { yaml } from "./yaml.js";

export interface CatalogueRule {
  readonly text: string;
  readonly source: string;
}

export interface References {
  readonly rules: Readonly<Record<string, CatalogueRule>>;
  /** Which code an implementation is, in words. */
  readonly implementations: Readonly<Record<string, string>>;
}

/** Of the catalogue that comes with this package. */
export function readReferences(): References {
  return { rules: read("rules"), implementations: read("implementations") };
}

function read<T>(name: string): T {
  const file = fileURLToPath(new URL(`../scenarios/${name}.yaml`, import.meta.url));
  return yaml().parse(readFileSync(file, "utf8")) as T;
}
