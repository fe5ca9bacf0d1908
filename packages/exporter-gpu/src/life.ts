/** The end of a buffer object: who lets go last, and when its memory may be somebody else's. */
import { type DmaBuf, type Op, Usage } from "@dma-buf/core";
import { type OwnedBo, refuse } from "./buffer-object.js";
import type { Gpu } from "./gpu.js";
import { freeLost } from "./loss.js";

/** The creator's reference. Linux: `drm_gem_handle_delete()`. @throws DmaBufError `EINVAL` twice. Stage `export` */
export function closeHandle(gpu: Gpu, bo: OwnedBo): void {
  if (bo.closed) refuse("EINVAL", "drm_gem_handle_delete", "export", "the handle is closed already: close it once");
  bo.closed = true;
  put(gpu, bo);
}

/** The dma-buf's reference. */
export function released(gpu: Gpu, bo: OwnedBo, buf: DmaBuf): void {
  // Another may have been exported since the last reference went.
  if (bo.buf === buf) bo.buf = null;
  put(gpu, bo);
}

/** At once where nobody is at it, else behind whoever is: a move that is under way ends first. Linux: `ttm_bo_release()`. */
function put(gpu: Gpu, bo: OwnedBo): void {
  const { fw, host } = gpu;
  if (--bo.refs > 0) return;
  if (bo.pinCount > 0) fw.report("warn", "release", "importer", `released with ${bo.pinCount} pin(s) left`);
  using held = bo.resv.testSignaled(Usage.BOOKKEEP) ? bo.resv.tryLock() : null;
  if (held) destroy(gpu, bo);
  else fw.scheduler.spawn(`${host.name} delayed delete`, delayedDelete(gpu, bo));
}

function* delayedDelete(gpu: Gpu, bo: OwnedBo): Op<void> {
  using _held = yield* bo.resv.lock();
  yield* bo.resv.waitTimeout(Usage.BOOKKEEP);
  destroy(gpu, bo);
}

function destroy({ memory, live }: Gpu, bo: OwnedBo): void {
  const { place } = bo;
  // Whoever waits for the reservation of what was freed finds it gone.
  bo.place = null;
  if (place) memory.free(place);
  freeLost(memory, bo);
  bo.resv.fini();
  live.delete(bo);
}
