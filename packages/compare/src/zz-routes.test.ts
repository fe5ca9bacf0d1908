import { expect, it } from "vitest";
import { readFileSync } from "node:fs";
import { columns } from "./columns/index.js";
import { row } from "./row.js";
import { readScenario } from "./scenario/read.js";
import { verdictText } from "./scenario/verdict-text.js";
it("routes", () => {
  const out: string[] = [];
  for (const id of (process.env["SCN"] ?? "").split(" ")) {
    const scenario = readScenario(readFileSync(`/tmp/h/routes/${id}.yaml`, "utf8"), id);
    if (scenario.steps.length === 0) {
      out.push(`${id} no steps`);
      continue;
    }
    const cells = row(scenario, columns, null);
    columns.forEach((c, i) => {
      const t = process.cpuUsage().user;
      try {
        const r = cells[i]!.result();
        const e = scenario.cells[c.contract.id]!;
        const line = `${verdictText(r.asPosted)} / ${verdictText(r.conforming)}, ${r.blame}`;
        const want = `${verdictText(e.asPosted)} / ${verdictText(e.conforming)}, ${e.blame}`;
        const ms = (process.cpuUsage().user - t) / 1000;
        if (!r.asExpected || ms > 60 || process.env["ALL"])
          out.push(
            `${id} ${c.contract.id}: ${r.asExpected ? "ok" : e.contested ? "CONTESTED" : "XX"} ${line} ${line === want ? "" : `WANT ${want}`} (${ms.toFixed(1)} ms)\n     ${r.rule.text}\n     posted: ${r.postedRule?.text}`,
          );
      } catch (error) {
        out.push(`${id} ${c.contract.id}: THREW ${(error as Error).stack?.split("\n").slice(0, 6).join("\n   ")}`);
      }
    });
  }
  console.log(out.join("\n"));
  expect(1).toBe(1);
});
