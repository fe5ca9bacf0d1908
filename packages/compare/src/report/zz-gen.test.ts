import { writeFileSync, readFileSync } from "node:fs";
import { it } from "vitest";
import { parseCapture } from "@dma-buf/pci";
import { readScenario } from "../scenario/read.js";
import { collect } from "./collect.js";
import { renderHtml } from "./html-report.js";
it("gen", () => {
  const t0 = Date.now();
  const ids = (process.env["IDS"] ?? "S01a,S02a,S15a,S17a,S18a,S21a,S04b,S41a,S34c").split(",");
  const catalogue = ids.flatMap((id) => {
    const f = `/work/main/packages/compare/scenarios/${id}.yaml`;
    try {
      return [readScenario(readFileSync(f, "utf8"), f)];
    } catch (e) {
      console.log(String(e));
      return [];
    }
  });
  const got = collect({ catalogue });
  const t1 = Date.now();
  const text = renderHtml({
    ...got,
    version: "0.0.0",
    command: "npx dma-buf compare --contract all --report report.html",
  });
  const t2 = Date.now();
  writeFileSync("/tmp/htmlw/report.html", text);
  console.log(
    "scenarios",
    got.comparison.results.length,
    "collect ms",
    t1 - t0,
    "render ms",
    t2 - t1,
    "bytes",
    text.length,
    "explanations",
    got.explanations.length,
  );
}, 300000);
