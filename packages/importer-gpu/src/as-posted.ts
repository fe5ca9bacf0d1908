/**
 * Letting go as Linux's drivers do. amdgpu unmaps behind the buffer's jobs, and clears its entries by a job whose fence is
 * in the reservation of the address space's *root* alone: the exporter does not wait for it. xe keeps everything until
 * the buffer is used again.
 */
import { DmaBufError, type Held, type Op, type ResvGuard, Usage } from "@dma-buf/core";
import type { ImportedBo } from "./buffer-object.js";
import type { Gpu, TakeDown, Variant } from "./gpu.js";
import { giveBackLater, hasRoom, keptUntilUse, over, waited } from "./take-down.js";
import type { Vm } from "./vm.js";

/** Linux 7.3: `amdgpu_dma_buf_move_notify()`. */
const amdgpu: TakeDown = function* (gpu, bo, content, held) {
  const jobs = gpu.jobsOn(held);
  if (jobs.length === 0) yield* bo.giveBack(content, held);
  else giveBackLater(gpu, bo, held, { content, fence: null, ready: () => waited(jobs) }, () => over(jobs));
  for (const vm of new Set(Array.from(bo.mappings, (m) => m.vm))) yield* clearLater(gpu, vm, bo, held);
};

/** The take-downs of Linux's drivers, by name. xe's callback marks the buffer as evicted; its next validation, or its close, does the rest. */
export const asPosted: NonNullable<Variant["asPosted"]> = { amdgpu, xe: keptUntilUse };

/** An address space whose root cannot be locked is passed over: its next submission finds the ranges marked. */
function* clearLater(gpu: Gpu, vm: Vm, bo: ImportedBo, { ticket }: Held): Op<void> {
  const held = yield* lockOrNot(vm, ticket);
  if (!held) return;
  try {
    if (!hasRoom(held)) return;
    const before = vm.root.getFences(Usage.BOOKKEEP);
    const ranges = [...bo.mappings].filter((m) => m.vm === vm);
    const fence = gpu.newFence("sdma");
    vm.root.addFence(held, fence, Usage.BOOKKEEP);
    vm.clearing = fence;
    for (const range of ranges) vm.needsUpdate.delete(range);
    gpu.fw.scheduler.spawn(
      `${gpu.name} sdma`,
      (function* () {
        try {
          yield* over(before);
          yield* vm.clear(ranges);
        } finally {
          fence.signal();
          fence.put();
        }
      })(),
    );
  } finally {
    held[Symbol.dispose]();
  }
}

/** In the exporter's transaction if it has one. Whatever it is refused with. */
function* lockOrNot(vm: Vm, ticket: Held["ticket"]): Op<ResvGuard | null> {
  if (!ticket) return vm.root.tryLock();
  try {
    return yield* vm.root.lock(ticket);
  } catch (error) {
    if (error instanceof DmaBufError) return null;
    throw error;
  }
}
