import { it } from "vitest";
import { readFileSync } from "node:fs";
import { Scheduler } from "@dma-buf/core";
import { readScenario } from "./scenario/read.js";
import { bind } from "./binding.js";
import { columns } from "./columns/index.js";
import { World } from "./world/world.js";
import { searchOrders } from "./orders.js";
it("prof", async () => {
  const id = process.env.IDS!; const f = `/work/main/packages/compare/scenarios/${id}.yaml`;
  const s = readScenario(readFileSync(f, "utf8"), f);
  const column = columns.find((c) => c.contract.id === (process.env.C ?? "linux-7.3"))!;
  const cast = { exporterAsPosted: false, importerAsPosted: false };
  const one = (scheduler: Scheduler, trace = false) => {
    const w = new World(scheduler, { scenario: s, column, binding: bind(s, null), cast, forwards: true, trace } as never);
    w.scheduler.spawn("main", w.run());
    w.judge.ended(scheduler.run());
    return w;
  };
  const sites: string[] = [];
  const first = new Scheduler({ begin: () => true, complete: true, choices: () => [], pick: (r: any) => { sites.push(r.map((t: any) => `${t.name}@${t.wait?.site ?? "start"}`).join(" | ")); return 0; } } as never);
  console.log("verdict", one(first).judge.verdict, "steps", first.steps, "choices", sites.length);
  console.log(sites.join("\n"));
  for (let k = 0; k < 3; k++) { const t = performance.now(); for (let i = 0; i < 5; i++) one(new Scheduler()); console.log("ms/run", ((performance.now() - t) / 50).toFixed(2)); }
  const { Session } = await import("node:inspector/promises");
  const ses = new Session(); ses.connect(); await ses.post("Profiler.enable"); await ses.post("Profiler.start");
  for (let i = 0; i < 200; i++) one(new Scheduler());
  const { profile } = await ses.post("Profiler.stop") as any;
  const self = new Map<string, number>(); const dt = profile.timeDeltas; const byId = new Map(profile.nodes.map((n: any) => [n.id, n]));
  profile.samples.forEach((id: number, i: number) => { const n: any = byId.get(id); const k = n.callFrame.functionName + " " + n.callFrame.url.split("/").slice(-3).join("/") + ":" + n.callFrame.lineNumber; self.set(k, (self.get(k) ?? 0) + dt[i]); });
  console.log([...self].sort((a, b) => b[1] - a[1]).slice(0, 25).map(([k, v]) => `${(v / 200000).toFixed(2)}ms ${k}`).join("\n"));
  const t = performance.now();
  const r = searchOrders((sch) => { const w = one(sch); return w.judge.verdict; }, () => 0, process.env.N ? Number(process.env.N) : "default");
  console.log(r.schedules, (performance.now() - t).toFixed(0));
}, 300000);
