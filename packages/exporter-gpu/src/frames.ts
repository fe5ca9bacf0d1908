/** Page frames, for the contracts in which the importer maps. */
import { type DmaBufOps, type Op, PAGE_SIZE, type PfnAnswer, Usage } from "@dma-buf/core";
import { frameAt } from "@dma-buf/scatterlist";
import { attachable, whyNotByFrame } from "./attach.js";
import { type OwnedBo, refuse } from "./buffer-object.js";
import { cpuSide } from "./cpu-side.js";
import type { Gpu, Variant } from "./gpu.js";
import { pinnable, placeFor } from "./placement.js";
import { mappable, plainVram, ramTable } from "./tables.js";

/**
 * VRAM is told where the BAR shows it: what lies beyond the window is moved into it first, or to RAM. Who cannot reach
 * it by page frame has `peer2peer` cleared at attach, and is told those of RAM. What has no page frame at all is refused
 * with `EOPNOTSUPP`: the contract names no errno for it, so that is a reading.
 */
export const framesVariant: Variant = {
  settles: true,
  posted: false,
  ops: (gpu, bo) => ({
    ...attachable(gpu, bo, { whyNoPeer: whyNotByFrame, refusesHere: false }),
    ...pinnable(gpu, bo),
    ...mappable(gpu, bo, { vram: plainVram, gtt: ramTable() }),
    ...cpuSide(gpu, bo),
    ...tellsFrames(gpu, bo),
  }),
};

function tellsFrames(gpu: Gpu, bo: OwnedBo): Pick<DmaBufOps, "getPfn"> {
  return {
    *getPfn(at, pgoff, held): Op<PfnAnswer> {
      const pages = bo.sizeBytes / PAGE_SIZE;
      if (!Number.isSafeInteger(pgoff) || pgoff < 0 || pgoff >= pages)
        refuse("EINVAL", "get_pfn", "query", `page ${pgoff} is none of the buffer's: ask for one of 0 to ${pages - 1}`);
      const place = yield* placeFor(gpu, bo, at, held, "frame");
      // Who is told a frame has no fence to wait for: the bytes must be there.
      yield* held.resv.waitTimeout(Usage.KERNEL);
      return frameAt(gpu.memory.physVecs(place) ?? [], pgoff) as PfnAnswer;
    },
  };
}
