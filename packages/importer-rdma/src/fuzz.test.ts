/**
 * Whatever is registered, accessed, taken away and given back: in a row, as an oracle says, byte by byte; at the same time,
 * nothing arrives late, nothing is left, and nobody is to blame.
 */
import { DmaBufError, type Op, seeded, Scheduler } from "@dma-buf/core";
import fc from "fast-check";
import { expect, it } from "vitest";
import type { MemoryRegion } from "./importer.js";
import { type Act, act, Oracle, requestOf } from "./testing/fuzz-oracle.js";
import { PAGE, SERVING, text } from "./testing/rig.js";

it("in a row: every answer and every byte is the oracle's", () => {
  fc.assert(
    fc.property(fc.constantFrom(...SERVING), fc.array(act, { maxLength: 30, size: "max" }), (id, acts) => {
      const oracle = new Oracle(id);
      for (const one of acts) oracle.does(one);
      expect(oracle.end()).toEqual([]);
    }),
    { numRuns: 150 },
  );
});

/** One task: what it registers is its own; what it uses is anybody's. */
function* live(o: Oracle, all: MemoryRegion[], acts: readonly Act[], wrong: string[]): Op<void> {
  const { rdma } = o.r;
  for (const a of acts)
    try {
      const mr = "mr" in a ? all[a.mr] : undefined;
      if (a.act === "reg") all.push(yield* rdma.regMr(requestOf(o, a)));
      else if (a.act === "dereg" && mr) yield* rdma.deregMr(all.splice(a.mr, 1)[0] as MemoryRegion);
      else if (a.act === "prefetch" && mr) yield* rdma.prefetch(mr);
      else if ((a.act === "write" || a.act === "read") && mr) {
        const target = { key: mr.rkey, iova: mr.iova + a.at, side: a.side };
        const size = Math.min(a.sizeBytes, 2 * PAGE);
        const result = yield* a.act === "write" ? rdma.write(target, text(a.value, size)) : rdma.read(target, size);
        if (result.kind !== "done" && result.kind !== "protection-error") wrong.push(`${a.act}: ${result.kind}`);
      }
    } catch (error) {
      if (!(error instanceof DmaBufError)) throw error;
    }
}

it("at the same time: no access is late, nothing is left", () => {
  const program = fc.record({
    id: fc.constantFrom(...SERVING),
    seed: fc.nat(),
    tasks: fc.array(fc.array(act, { minLength: 2, maxLength: 10, size: "max" }), { minLength: 2, maxLength: 3 }),
    toggles: fc.nat({ max: 3 }),
  });
  fc.assert(
    fc.property(program, ({ id, seed, tasks, toggles }) => {
      const wrong: string[] = [];
      const strategy = seeded(seed);
      strategy.begin();
      const o = new Oracle(id, new Scheduler(strategy));
      const all: MemoryRegion[] = [];
      const spawned = tasks.map((acts, i) => o.r.scheduler.spawn(`NIC ${i}`, live(o, all, acts, wrong)));
      o.r.scheduler.spawn(
        "vmm",
        (function* () {
          for (let i = 0; i < toggles; i++) yield* o.vfio.setMemoryEnabled(i % 2 === 1);
        })(),
      );
      expect(o.r.scheduler.run().kind).toBe("done");
      expect([wrong, spawned.map(({ error }) => error).filter(Boolean)]).toEqual([[], []]);
      for (const mr of all) o.r.run(o.r.rdma.deregMr(mr));
      expect(o.left()).toEqual([]);
    }),
    { numRuns: 150 },
  );
});
