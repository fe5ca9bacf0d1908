// Reads and checks our scenarios at build time, so that who compares does not wait for it.
import { writeFileSync } from "node:fs";
import { basename } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { readScenarios } from "./dist/index.js";

const dir = new URL("./scenarios", import.meta.url).pathname;
const text = JSON.stringify(readScenarios(dir), (key, value) => (key === "file" ? `scenarios/${basename(value)}` : value));
const again = JSON.stringify(JSON.parse(text));
if (!isDeepStrictEqual(again, text)) throw new Error("a scenario holds what JSON cannot");
writeFileSync(new URL("./dist/catalogue.json", import.meta.url), text);
