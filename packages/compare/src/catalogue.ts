/** Scenarios from a directory: ours, or anyone's. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ScenarioError } from "./scenario/error.js";
import { readScenario } from "./scenario/read.js";
import type { Scenario } from "./scenario/scenario.js";

const OURS = fileURLToPath(new URL("../scenarios", import.meta.url));
/** Ours as the build has read it: parsing and checking 150 files takes longer than running them. Not there in sources. */
const COMPILED = fileURLToPath(new URL("./catalogue.json", import.meta.url));
/** Of ours that hold no scenario. */
const OTHERS: readonly string[] = ["rules.yaml", "implementations.yaml"];
const START = { line: 1, column: 1 };

/**
 * All `*.yaml` files of a directory, the ones to show first in front, then by id. A file may have any name.
 * @throws ScenarioError for a file with a mistake, two with the same id, a directory without any
 */
export function readScenarios(directory?: string): readonly Scenario[] {
  if (directory === undefined && existsSync(COMPILED))
    return JSON.parse(readFileSync(COMPILED, "utf8")) as readonly Scenario[];
  return readDirectory(directory ?? OURS);
}

function readDirectory(directory: string): readonly Scenario[] {
  const names = listed(directory).filter((name) => name.endsWith(".yaml") && !OTHERS.includes(name));
  if (names.length === 0)
    throw new ScenarioError({ file: directory, ...START }, "", "has no scenario: a scenario is a file *.yaml");
  const files = names.map((name) => join(directory, name));
  const scenarios = files.map((file) => readScenario(readFileSync(file, "utf8"), file));
  const seen = new Map<string, string>();
  for (const { id, file } of scenarios) {
    const other = seen.get(id);
    if (other)
      throw new ScenarioError({ file, ...START }, "id", `${id} is the id of ${other} as well: give each its own`);
    seen.set(id, file);
  }
  return scenarios.toSorted(inOrder);
}

function listed(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new ScenarioError(
      { file: directory, ...START },
      "",
      `cannot be read (${code}): name a directory with scenarios, files *.yaml`,
    );
  }
}

function inOrder(a: Scenario, b: Scenario): number {
  return (a.order ?? Infinity) - (b.order ?? Infinity) || a.id.localeCompare(b.id, "en", { numeric: true });
}
