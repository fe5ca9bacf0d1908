/** What both contracts with page frames make of the driver: it maps them for its function, and never puts one on the bus. */
import type { Op, SystemMemory } from "@dma-buf/core";
import { reachByFrame } from "@dma-buf/scatterlist";
import { type Conduct, look, type Mapped, type Reach } from "./conduct.js";
import type { RdmaFunction } from "./host.js";

/**
 * Into IOVAs of its own where the function's domain translates: taking them back flushes, under lazy flushing too, as
 * `dma_iova_unlink()` does and `dma_unmap_phys()` does not.
 */
function reachFlushed(device: RdmaFunction, memory: SystemMemory): Reach {
  const mapped = reachByFrame(device, "bidirectional", memory);
  return function* (run): Op<Mapped> {
    if (run.kind !== "cpu-physical") return mapped(run);
    const { address, sizeBytes } = run;
    const state = device.dma.tryAllocIova(address, sizeBytes);
    if (!state) return mapped(run);
    let linked = 0;
    let done = false;
    try {
      state.link(0, address, sizeBytes, "bidirectional", { mmio: !memory.isRam(address) });
      linked = sizeBytes;
      state.sync(0, sizeBytes);
      done = true;
    } finally {
      if (!done) yield* state.destroy(linked);
    }
    return { address: state.address, release: () => state.destroy(linked) };
  };
}

/**
 * It syncs what bounces around each access, since the mapping is its own. A reading: of a peer's write no driver hears, so
 * the end of the request stands for the end of a job.
 */
export const byFrame: Conduct = {
  reach: reachFlushed,
  open: look,
  syncs: true,
  stub: true,
  revocablePins: false,
};
