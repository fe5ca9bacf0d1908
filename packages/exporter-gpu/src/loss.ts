/** Memory that is taken away for good: whoever has it is told, then waited for, then it is given back. */
import { type DmaBuf, type Op, type ResvGuard, until, Usage } from "@dma-buf/core";
import type { OwnedBo } from "./buffer-object.js";
import { type Gpu, toBeTold } from "./gpu.js";
import type { GpuMemoryManager } from "./memory.js";

/** Nobody gets at it from here on, and importers are told. */
export function* takeAway(gpu: Gpu, bo: OwnedBo): Op<void> {
  using held = yield* bo.resv.lock();
  if (!bo.place) return;
  // Before the callbacks: a map that an importer tries from inside its callback must find it gone.
  bo.lost = bo.place;
  bo.place = null;
  const buf = toBeTold(gpu, bo);
  if (buf) yield* gpu.fw.invalidate(buf, held);
}

/** Waits for who still has it. Ended before, the memory stays the buffer's until that is destroyed. */
export function* giveBack(gpu: Gpu, bo: OwnedBo): Op<void> {
  using guard = yield* bo.resv.lock();
  if (!bo.lost) return;
  yield* bo.resv.waitTimeout(Usage.BOOKKEEP);
  const buf = toBeTold(gpu, bo);
  if (buf && !gpu.options.asPosted) yield* drained(gpu, buf, guard);
  freeLost(gpu.memory, bo);
}

/** Once: whoever waited and the end of the buffer may both come here. */
export function freeLost(memory: GpuMemoryManager, bo: OwnedBo): void {
  const { lost } = bo;
  bo.lost = null;
  if (lost) memory.free(lost);
}

function* drained({ fw }: Gpu, buf: DmaBuf, guard: ResvGuard): Op<void> {
  yield* fw.drain(buf, guard);
  // Nobody tells the kernel's own users.
  const unmapped = (): boolean => buf.vmaps === 0;
  yield* until("dma_buf.vunmap", unmapped, () => `vunmap by ${buf.vmaps} user(s) of the kernel's mapping`);
}
