import { readFileSync } from "node:fs";
import { it } from "vitest";
import { readScenario } from "./scenario/read.js";
import { columns } from "./columns/index.js";
import { bind } from "./binding.js";
import { CONFORMING, runCell } from "./run.js";
it("perf", () => {
  for (const id of (process.env.W5 ?? "S18a").split(" ")) {
    const file = new URL(`../scenarios/${id}.yaml`, import.meta.url).pathname;
    const scenario = readScenario(readFileSync(file, "utf8"), file);
    const column = columns[2]!;
    const options = {
      scenario,
      column,
      binding: bind(scenario, null),
      cast: CONFORMING,
      forwards: true,
      orders: 1 as const,
    };
    for (let i = 0; i < 50; i++) runCell(options);
    const t0 = process.cpuUsage().user;
    for (let i = 0; i < 300; i++) runCell(options);
    console.log(`PERF ${id} ${((process.cpuUsage().user - t0) / 300).toFixed(0)} us a run`);
  }
}, 600000);
