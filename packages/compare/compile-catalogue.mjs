// Reads and checks our scenarios at build time, so that who compares does not wait for it.
import { writeFileSync } from "node:fs";
import { basename } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { readScenarios } from "./dist/index.js";

const dir = new URL("./scenarios", import.meta.url).pathname;
const scenarios = readScenarios(dir).map((scenario) => relative(scenario));
const text = JSON.stringify(scenarios);
if (!isDeepStrictEqual(JSON.parse(text), scenarios)) throw new Error("a scenario holds what JSON cannot");
writeFileSync(new URL("./dist/catalogue.json", import.meta.url), text);

/** Where a scenario stands in the package, and not on the machine that built it. */
function relative(value) {
  if (Array.isArray(value)) return value.map(relative);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, v]) => [
    key,
    key === "file" ? `scenarios/${basename(v)}` : relative(v),
  ]);
  return Object.fromEntries(entries);
}
