import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { columns } from "./columns/index.js";
import { row } from "./row.js";
import { readScenario } from "./scenario/read.js";
import { verdictText } from "./scenario/verdict-text.js";

const line = (posted: string, conforming: string, blame: string): string => `${posted} / ${conforming}, ${blame}`;
describe.each((process.env["IDS"] ?? "").split(",").map((id) => [id]))("%s", (id) => {
  const file = new URL(`../scenarios/${id}.yaml`, import.meta.url).pathname;
  const scenario = readScenario(readFileSync(file, "utf8"), file);
  const cells = row(scenario, columns, null);
  it.each(columns.map((c, i) => [c.contract.id, i] as const))("%s", (contract, i) => {
    const result = cells[i]!.result();
    const expected = scenario.cells[contract]!;
    const found = line(verdictText(result.asPosted), verdictText(result.conforming), result.blame);
    const wanted = line(verdictText(expected.asPosted), verdictText(expected.conforming), expected.blame);
    if (expected.contested) expect(found).not.toBe(wanted);
    else expect(result.asExpected, `${found}, not ${wanted}: ${result.rule.text}`).toBe(true);
  });
});
