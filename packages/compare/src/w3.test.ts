import { it } from "vitest";
import { readFileSync } from "node:fs";
import { readScenario } from "./scenario/read.js";
import { Cell } from "./cell.js";
import { bind } from "./binding.js";
import { columns } from "./columns/index.js";
import { verdictText } from "./scenario/verdict-text.js";
const ids = (process.env.IDS ?? "").split(",");
it("w3", () => {
  for (const id of ids) {
    const f = `/work/main/packages/compare/scenarios/${id}.yaml`;
    const s = readScenario(readFileSync(f, "utf8"), f);
    for (const c of columns) {
      const e = s.cells[c.contract.id]!;
      const t = performance.now();
      let got;
      let r: any;
      try {
        r = new Cell(s, c, bind(s, null)).result();
        got = `${verdictText(r.asPosted)} / ${verdictText(r.conforming)}, ${r.blame}`;
      } catch (x) {
        got = "THROWS " + (x as Error).stack;
      }
      const want = `${verdictText(e.asPosted)} / ${verdictText(e.conforming)}, ${e.blame}`;
      const ok = r?.asExpected;
      console.log(
        `${ok ? "ok " : "BAD"} ${s.id} ${c.contract.id}: ${got}${ok ? "" : `  WANTED ${want}`} ${r?.schedules ? JSON.stringify(r.schedules) : ""} ${(performance.now() - t).toFixed(0)}ms` +
          (ok && !process.env.V ? "" : `\n     rule: ${r?.rule?.text}\n     posted: ${r?.postedRule?.text}`),
      );
    }
  }
}, 600000);
