/** Two GPUs that list the same buffers in opposite orders: whoever is younger gives way, and both get on. */
import type { Op } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { Exec } from "./exec.js";
import type { GpuImporter, ImportedBuffer } from "./index.js";
import { Light } from "./testing/light.js";
import { type Arena, type Race, search, type Wrong } from "./testing/search.js";
import { SERVING } from "./testing/variants.js";

/** Mapped before, and jobs that do nothing: what is searched is the locks, and what a submission does under them. */
function submissions(arena: Arena, id: (typeof SERVING)[number]): Wrong {
  const light = new Light(arena.scheduler, id, {});
  const bufs = [light.bar(), light.bar()];
  const seats = [light.gpu, light.importer(id)].map((gpu) => {
    const bos = bufs.map((buf) => light.run(gpu.import(buf)));
    const vm = gpu.createVm();
    light.run(gpu.validate(vm, listed(bos)));
    return { gpu, vm, bos };
  });
  const wrong = raced(
    arena,
    seats.map(({ gpu, vm, bos }, n) => submits(gpu, vm, n === 0 ? bos : bos.toReversed())),
  );
  for (const { gpu, vm, bos } of seats) {
    light.run(vm.destroy());
    for (const bo of bos) light.run(gpu.close(bo));
  }
  for (const buf of bufs) light.run(light.fw.put(buf));
  return [...wrong, ...light.left()];
}

const listed = (bos: readonly ImportedBuffer[]): { bo: ImportedBuffer }[] => bos.map((bo) => ({ bo }));

function* submits(gpu: GpuImporter, vm: ReturnType<GpuImporter["createVm"]>, bos: readonly ImportedBuffer[]): Op<void> {
  const { fence } = yield* gpu.submit({ vm, buffers: listed(bos), commands: [] });
  fence.put();
}

/** How it ended, and what came out of the tasks, where that is not well. */
function raced(arena: Arena, ops: readonly Op<void>[]): Wrong {
  // By this name they begin in any order: the ticket that is drawn first is the older.
  const tasks = ops.map((op) => arena.scheduler.spawn("user", op));
  arena.racing = true;
  const { kind } = arena.scheduler.run();
  arena.racing = false;
  return [
    ...(kind === "done" ? [] : [`HANG: ${kind}`]),
    ...tasks.flatMap((t) => (t.state === "failed" ? [`failed: ${JSON.stringify(t.error)}`] : [])),
  ];
}

describe.each(SERVING)("%s", (id) => {
  it("whole submissions of A, B and B, A, in all 358 orders: no deadlock, EDEADLK inside only, nothing left", () => {
    const race: Race = (arena) => submissions(arena, id);
    expect(search(race, id)).toEqual(["358", []]);
  });
});

it("the locks alone, in all 32 orders: the younger backs off in some of them", () => {
  let contentions = 0;
  const race: Race = (arena) => {
    const light = new Light(arena.scheduler, "linux-7.3", {});
    const [a, b] = [light.bar().resv, light.bar().resv];
    return raced(arena, [locks(light, [a, b]), locks(light, [b, a])]);
  };
  expect(search(race, "linux-7.3")).toEqual(["32", []]);
  expect(contentions).toBeGreaterThan(0);

  function* locks(light: Light, list: readonly ReturnType<Light["bar"]>["resv"][]): Op<void> {
    const exec = new Exec(light.fw.env);
    yield* exec.lockAll(list);
    contentions += exec.contentions;
    exec.fini();
  }
});
