import { readFileSync } from "node:fs";
import { it } from "vitest";
import { row } from "./row.js";
import { columns } from "./columns/index.js";
import { readScenario } from "./scenario/read.js";
import { verdictText } from "./scenario/verdict-text.js";
it("w4", () => {
  const out: string[] = [];
  for (const id of (process.env["W4"] ?? "").split(",")) {
    const file = new URL(`../scenarios/${id}.yaml`, import.meta.url).pathname;
    const scenario = readScenario(readFileSync(file, "utf8"), file);
    const t0 = process.cpuUsage();
    const cells = row(scenario, columns, null);
    for (const column of columns) {
      const expected = scenario.cells[column.contract.id];
      if (!expected) continue;
      const wanted = `${verdictText(expected.asPosted)} / ${verdictText(expected.conforming)}, ${expected.blame}`;
      try {
        const r = cells[columns.indexOf(column)]!.result();
        const found = `${verdictText(r.asPosted)} / ${verdictText(r.conforming)}, ${r.blame}`;
        if (found !== wanted || process.env["V"])
          out.push(
            `${found === wanted ? "ok " : "BAD"} ${id} ${column.contract.id}: ${found}   WANTED ${wanted}\n      ${r.rule.text}\n      posted: ${r.postedRule?.text}  ${r.schedules ? JSON.stringify(r.schedules) : ""}`,
          );
      } catch (e) {
        out.push(`ERR ${id} ${column.contract.id}: ${(e as Error).stack?.split("\n").slice(0, 5).join("\n")}`);
      }
    }
    out.push(`time ${id} ${Math.round(process.cpuUsage(t0).user / 1000)} ms cpu`);
  }
  process.stdout.write(`\n@@${out.join("\n@@")}\n@@done\n`);
}, 300000);
