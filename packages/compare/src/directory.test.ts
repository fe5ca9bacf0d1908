import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { readScenarios } from "./catalogue.js";
import { ScenarioError } from "./scenario/error.js";

const dir = mkdtempSync(join(tmpdir(), "scenarios-"));
afterAll(() => rmSync(dir, { recursive: true }));
const file = join(dir, "a-file");
writeFileSync(file, "");

it.each([
  ["that is none", join(dir, "none"), /none:1:1: the file: cannot be read \(ENOENT\): name a directory with scenarios/],
  ["that is a file", file, /a-file:1:1: the file: cannot be read \(ENOTDIR\)/],
  ["without a scenario", dir, /has no scenario: a scenario is a file \*\.yaml/],
])("a directory %s is refused with its name", (_what, directory, message) => {
  expect(() => readScenarios(directory)).toThrow(ScenarioError);
  expect(() => readScenarios(directory)).toThrow(message);
});
