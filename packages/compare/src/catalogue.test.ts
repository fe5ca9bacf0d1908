import { describe, expect, it } from "vitest";
import { readScenarios } from "./catalogue.js";
import { Cell } from "./cell.js";
import { bind } from "./binding.js";
import { columns } from "./columns/index.js";
import { verdictText } from "./scenario/verdict-text.js";

const played = readScenarios().filter((s) => s.steps.length > 0);

/** A cell as one line, to be read beside what is expected. */
const line = (posted: string, conforming: string, blame: string): string => `${posted} / ${conforming}, ${blame}`;

describe.each(played.map((s) => [s.id, s] as const))("%s", (_id, scenario) => {
  it.each(columns.map((c) => [c.contract.id, c] as const))("%s", (contract, column) => {
    const result = new Cell(scenario, column, bind(scenario, null)).result();
    const expected = scenario.cells[contract];
    if (!expected) throw new Error(`${scenario.id} expects nothing of ${contract}`);
    const found = line(verdictText(result.asPosted), verdictText(result.conforming), result.blame);
    const wanted = line(verdictText(expected.asPosted), verdictText(expected.conforming), expected.blame);
    if (expected.contested) expect(found).not.toBe(wanted);
    else expect(found, result.rule.text).toBe(wanted);
  });
});
