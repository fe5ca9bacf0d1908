/** Two GPUs that list the same buffers in opposite orders: whoever is younger gives way, and both get on. */
import { explore, type Op } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { Exec } from "./exec.js";
import type { GpuImporter, ImportedBuffer } from "./index.js";
import { Light } from "./testing/light.js";
import { SERVING } from "./testing/variants.js";

function* submits(gpu: GpuImporter, bos: readonly ImportedBuffer[], again = 1): Op<void> {
  const vm = gpu.createVm();
  const list = bos.map((bo) => ({ bo }));
  for (let n = 0; n < again; n++) (yield* gpu.submit({ vm, buffers: list, commands: [] })).fence.put();
  yield* vm.destroy();
}

describe.each(SERVING)("%s", (id) => {
  it("A, B against B, A: of the first 300 orders none ends in a deadlock, and in none EDEADLK comes out", () => {
    const found = explore(
      (scheduler) => {
        const light = new Light(scheduler, id);
        const bufs = [light.bar(), light.bar()] as const;
        const other = light.importer(id);
        const mine = bufs.map((buf) => light.run(light.gpu.import(buf)));
        const theirs = bufs.map((buf) => light.run(other.import(buf)));
        // Mapped before: what is searched is the locks.
        for (const [gpu, bos] of [
          [light.gpu, mine],
          [other, theirs],
        ] as const)
          light.run(submits(gpu, bos));
        const tasks = [
          scheduler.spawn("one", submits(light.gpu, mine)),
          scheduler.spawn("two", submits(other, theirs.toReversed())),
        ];
        const end = scheduler.run();
        const wrong = end.kind === "done" ? [] : [end.kind];
        return [
          ...wrong,
          ...tasks.flatMap((t) => (t.error instanceof Error ? [t.error.message] : [])),
          ...light.fw.findings.map((f) => f.message),
        ];
      },
      { badness: (wrong) => wrong.length, ordersMax: 300 },
    );
    expect(found.worst.result).toEqual([]);
  });
});

it("the locks alone, in all orders: the younger backs off in some of them", () => {
  let contentions = 0;
  const found = explore(
    (scheduler) => {
      const light = new Light(scheduler, "linux-7.3");
      const [a, b] = [light.bar().resv, light.bar().resv];
      const tasks = [
        [a, b],
        [b, a],
      ].map((list, n) => scheduler.spawn(`gpu ${n}`, locks(light, list)));
      return [scheduler.run().kind, ...tasks.map((t) => (t.error instanceof Error ? t.error.message : "ok"))].join();
    },
    { badness: (told) => Number(told !== "done,ok,ok") },
  );
  expect([found.kind, found.worst.result]).toEqual(["exhausted", "done,ok,ok"]);
  expect(contentions).toBeGreaterThan(0);
  expect(found.explored).toBe(32);

  function* locks(light: Light, list: readonly ReturnType<Light["bar"]>["resv"][]): Op<void> {
    const exec = new Exec(light.fw.env);
    yield* exec.lockAll(list);
    contentions += exec.contentions;
    exec.fini();
  }
});
