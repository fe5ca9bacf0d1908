import { describe, expect, it } from "vitest";
import { readFileSync } from "node:fs";
import { readScenario } from "./scenario/read.js";
import { columns } from "./columns/index.js";
import { row } from "./row.js";
import { verdictText } from "./scenario/verdict-text.js";

const played = ["S10","S11"].map((id) => { const f = new URL(`../scenarios/${id}.yaml`, import.meta.url).pathname; return readScenario(readFileSync(f, "utf8"), f); });

/** A cell as one line, to be read beside what is expected. */
const line = (posted: string, conforming: string, blame: string): string => `${posted} / ${conforming}, ${blame}`;

describe.each(played.map((s) => [s.id, s] as const))("%s", (_id, scenario) => {
  const cells = row(scenario, columns, null);
  it.each(columns.map((c, i) => [c.contract.id, i] as const))("%s", (contract, i) => {
    const result = (cells[i] as (typeof cells)[number]).result();
    const expected = scenario.cells[contract];
    if (!expected) throw new Error(`${scenario.id} expects nothing of ${contract}`);
    const found = line(verdictText(result.asPosted), verdictText(result.conforming), result.blame);
    const wanted = line(verdictText(expected.asPosted), verdictText(expected.conforming), expected.blame);
    console.log(scenario.id, contract, found, "|", result.rule.text);
    if (expected.contested) expect(found).not.toBe(wanted);
    else expect(result.asExpected, `${found}, not ${wanted}: ${result.rule.text}`).toBe(true);
  });
});
