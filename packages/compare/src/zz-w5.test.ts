import { readFileSync } from "node:fs";
import { it } from "vitest";
import { readScenario } from "./scenario/read.js";
import { columns } from "./columns/index.js";
import { row } from "./row.js";
import { verdictText } from "./scenario/verdict-text.js";
const ids = (process.env.W5 ?? "").split(" ");
it("w5", () => {
  for (const id of ids) {
    const file = new URL(`../scenarios/${id}.yaml`, import.meta.url).pathname;
    const scenario = readScenario(readFileSync(file, "utf8"), file);
    const cells = row(scenario, columns, null);
    const t0 = performance.now();
    columns.forEach((c, i) => {
      const e = scenario.cells[c.contract.id]!;
      try {
        const r = (cells[i] as any).result();
        const f = `${verdictText(r.asPosted)} / ${verdictText(r.conforming)}, ${r.blame}`;
        const w = `${verdictText(e.asPosted)} / ${verdictText(e.conforming)}, ${e.blame}`;
        const ok = r.asExpected;
        console.log(
          `${ok ? "ok " : "BAD"} ${id} ${c.contract.id}: ${f}${ok ? "" : `  WANTED ${w}`} | ${r.rule.text}${ok ? "" : ` | posted: ${r.postedRule?.text}`} ${r.schedules ? JSON.stringify(r.schedules) : ""}`,
        );
      } catch (err) {
        console.log(`ERR ${id} ${c.contract.id}: ${(err as Error).stack?.split("\n").slice(0, 5).join(" ")}`);
      }
    });
    console.log(`-- ${id} ${(performance.now() - t0).toFixed(0)} ms`);
  }
}, 600000);
