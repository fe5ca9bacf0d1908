/** Page frames, for the contracts in which the importer maps. */
import {
  type DmaBufAttachment,
  type DmaBufOps,
  type Held,
  type Op,
  PAGE_SIZE,
  perform,
  type PfnAnswer,
  Usage,
} from "@dma-buf/core";
import { frameAt } from "@dma-buf/scatterlist";
import { attachable, whyNotByFrame } from "./attach.js";
import { type OwnedBo, refuse } from "./buffer-object.js";
import { cpuSide } from "./cpu-side.js";
import type { Gpu, Variant } from "./gpu.js";
import type { Place } from "./host.js";
import { pinnable, placeFor, unpinOnce } from "./placement.js";
import { mappable, plainVram, ramTable } from "./tables.js";

type Door = Pick<DmaBufOps, "attach" | "detach">;

/**
 * VRAM is told where the BAR shows it: what lies beyond the window is moved into it first, or to RAM. Who cannot reach
 * it by page frame has `peer2peer` cleared at attach, and is told those of RAM. What has no page frame at all is refused
 * with `EOPNOTSUPP`: the contract names no errno for it, so that is a reading.
 */
export const framesVariant: Variant = {
  settles: true,
  posted: false,
  ops: (gpu, bo) => ({
    ...keepingStill(gpu, bo, attachable(gpu, bo, { whyNoPeer: whyNotByFrame, refusesHere: false })),
    ...pinnable(gpu, bo),
    ...mappable(gpu, bo, { vram: plainVram, gtt: ramTable() }),
    ...cpuSide(gpu, bo),
    ...tellsFrames(gpu, bo),
  }),
};

/** A static importer is told once, and never that the buffer moves: it stays in RAM from the first answer to the detach. */
function* placeToStay(gpu: Gpu, bo: OwnedBo, at: DmaBufAttachment, held: Held): Op<Place> {
  let stays = false;
  gpu.keptFor.add(at);
  try {
    const place = yield* placeFor(gpu, bo, at, held, "frame");
    bo.pinCount++;
    stays = true;
    return place;
  } finally {
    if (!stays) gpu.keptFor.delete(at);
  }
}

/** Where the core pins for it, that is enough; where nobody is promised anything, so is nobody here. */
function mustStay({ options, keptFor }: Gpu, at: DmaBufAttachment): boolean {
  return at.importer === null && at.pins === 0 && !keptFor.has(at) && (options.pinnable ?? true);
}

function keepingStill(gpu: Gpu, bo: OwnedBo, door: Door): Door {
  return {
    ...door,
    *detach(at) {
      if (gpu.keptFor.delete(at)) {
        using _held = yield* bo.resv.lock();
        unpinOnce(gpu, bo, "exporter");
      }
      if (door.detach) yield* perform(door.detach(at));
    },
  };
}

function tellsFrames(gpu: Gpu, bo: OwnedBo): Pick<DmaBufOps, "getPfn"> {
  return {
    *getPfn(at, pgoff, held): Op<PfnAnswer> {
      const pages = bo.sizeBytes / PAGE_SIZE;
      if (!Number.isSafeInteger(pgoff) || pgoff < 0 || pgoff >= pages)
        refuse("EINVAL", "get_pfn", "query", `page ${pgoff} is none of the buffer's: ask for one of 0 to ${pages - 1}`);
      const place = yield* mustStay(gpu, at) ? placeToStay(gpu, bo, at, held) : placeFor(gpu, bo, at, held, "frame");
      // Who is told a frame has no fence to wait for: the bytes must be there.
      yield* held.resv.waitTimeout(Usage.KERNEL);
      return frameAt(gpu.memory.physVecs(place) ?? [], pgoff) as PfnAnswer;
    },
  };
}
