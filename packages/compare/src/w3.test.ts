import { readFileSync } from "node:fs";
import { it } from "vitest";
import { columns } from "./columns/index.js";
import { readScenario } from "./scenario/read.js";
import { verdictText } from "./scenario/verdict-text.js";
import * as rows from "./row.js";
const ids = (process.env["IDS"] ?? "").split(",");
it("w3", () => {
  for (const id of ids) {
    const f = `/work/main/packages/compare/scenarios/${id}.yaml`;
    const s = readScenario(readFileSync(f, "utf8"), f);
    const t = performance.now();
    for (const cell of rows.row(s, columns, null)) {
      const r = cell.result();
      const e = s.cells[r.contract]!;
      const got = `${verdictText(r.asPosted)} / ${verdictText(r.conforming)}, ${r.blame}`;
      const want = `${verdictText(e.asPosted)} / ${verdictText(e.conforming)}, ${e.blame}`;
      const c = e.contested ? " CONTESTED" : "";
      console.log(`${r.asExpected ? "ok " : "BAD"} ${id} ${r.contract}: ${got}${r.asExpected ? "" : `  WANTED ${want}`}${c} ${r.schedules ? JSON.stringify(r.schedules) : ""}` + (r.asExpected ? "" : `\n     rule: ${r.rule.text}\n     posted: ${r.postedRule?.text}`));
    }
    console.log(id, (performance.now() - t).toFixed(0), "ms");
  }
}, 600000);
