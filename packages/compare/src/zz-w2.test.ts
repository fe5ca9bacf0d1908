import { expect, it } from "vitest";
import { readScenario } from "./scenario/read.js";
import { readFileSync } from "node:fs";
import { columns } from "./columns/index.js";
import { row } from "./row.js";
import { verdictText } from "./scenario/verdict-text.js";
const ids = (process.env.IDS ?? "").split(" ");
const cs = process.env.C?.split(" ");
it("runs", () => {
  for (const id of ids) {
    const file = `${import.meta.dirname}/../scenarios/${id}.yaml`;
    const s = readScenario(readFileSync(file, "utf8"), file);
    const cells = row(s, columns, null);
    console.log(`== ${id}`);
    cells.forEach((cell, i) => {
      const c = columns[i]!.contract.id;
      if (cs && !cs.includes(c)) return;
      const e = s.cells[c]!;
      const t0 = performance.now();
      try {
        const r = cell.result();
        const line = (p: any, q: any, b: string) => `${verdictText(p)} / ${verdictText(q)}, ${b}`;
        const a = line(r.asPosted, r.conforming, r.blame),
          b = line(e.asPosted, e.conforming, e.blame);
        console.log(
          `${r.asExpected ? "ok " : "BAD"} ${c.padEnd(18)} ${a}${a === b ? "" : `   WANTED ${b}`} | ${r.rule.text}${r.postedRule ? ` | P: ${r.postedRule.text}` : ""} ${JSON.stringify(r.schedules ?? "")} ${(performance.now() - t0).toFixed(0)}ms`,
        );
        if (process.env.TRACE)
          for (const ev of cell.trace((process.env.RUN as any) ?? "conforming")?.trace ?? [])
            console.log("   ", ev.step, ev.task, ev.kind, ev.text);
      } catch (err) {
        console.log(`ERR ${c}`, err);
      }
    });
  }
}, 300000);
