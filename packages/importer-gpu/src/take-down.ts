/**
 * Letting go as the best driver does it: entries are cleared when the jobs that list the buffer are over, the TLB is
 * flushed, and the fence of both is in the *buffer's* reservation, where the exporter waits. What was mapped is given back
 * behind it.
 */
import { type DmaFence, DmaBufError, type Held, type Op, type Task, Usage } from "@dma-buf/core";
import type { ImportedBo, Teardown } from "./buffer-object.js";
import type { Gpu, TakeDown } from "./gpu.js";
import { clearAll } from "./vm.js";

/** With no job to wait for, all is over when it returns. */
export const fencedOnBuffer: TakeDown = function* (gpu, bo, content, held) {
  const jobs = gpu.jobsOn(held);
  if (jobs.length === 0 || !hasRoom(held)) {
    yield* over(jobs);
    yield* clearAll(bo.mappings);
    return yield* bo.giveBack(content, held);
  }
  const fence = gpu.newFence("tlb flush");
  held.resv.addFence(held, fence, Usage.BOOKKEEP);
  giveBackLater(gpu, bo, held, { content, fence, ready: () => waited([fence]) }, function* () {
    try {
      yield* over(jobs);
      yield* clearAll(bo.mappings);
    } finally {
      fence.signal();
      fence.put();
    }
  });
};

/** Everything stays until the buffer is used again, or closed: then behind its jobs. */
export const keptUntilUse: TakeDown = function* (gpu, bo, content, held) {
  const jobs = gpu.jobsOn(held);
  bo.teardown = {
    content,
    fence: null,
    isOver: () => true,
    *ready() {
      yield* waited(jobs);
      yield* clearAll(bo.mappings);
    },
  };
};

/** Does `work`, and then gives back what was invalidated, unless somebody who wanted to map again has done so. */
export function giveBackLater(
  { fw, name }: Gpu,
  bo: ImportedBo,
  { resv }: Held,
  what: Omit<Teardown, "isOver">,
  work: () => Op<void>,
): void {
  let task: Task | null = null;
  const teardown: Teardown = { ...what, isOver: () => task?.state !== "runnable" };
  bo.teardown = teardown;
  task = fw.scheduler.spawn(
    `${name} gives back`,
    (function* () {
      yield* work();
      using held = yield* resv.lock();
      if (bo.teardown === teardown) yield* bo.settle(held);
    })(),
  );
}

/** Waits for fences, and puts them. */
export function* over(fences: readonly DmaFence[]): Op<void> {
  yield* waited(fences);
  for (const fence of fences) fence.put();
}

/** Waits for fences. */
export function* waited(fences: readonly DmaFence[]): Op<void> {
  for (const fence of fences) yield* fence.wait();
}

/** Room for one fence; `false`: there is no memory. A callback cannot refuse: it waits itself then. */
export function hasRoom(held: Held): boolean {
  try {
    held.resv.reserveFences(held, 1);
    return true;
  } catch (error) {
    if (error instanceof DmaBufError) return false;
    throw error;
  }
}
