/** A backing becomes one area, or pieces of the areas of another range do. Linux: `iopt_map_common()`, `iopt_get_pages()`. */
import { type Op, PAGE_SIZE } from "@dma-buf/core";
import type { Area } from "./area.js";
import type { AreaPiece, AreaSpan } from "./area-span.js";
import type { IoPagetable } from "./io-pagetable.js";
import type { IovaSpace } from "./iova-space.js";
import { mapAreas, type Slice } from "./map-areas.js";
import type { Pages } from "./pages.js";
import { checkMap, type MapArguments } from "./validate.js";

/** `IOMMU_IOAS_COPY`: `iova` and `flags` are those of the copy. */
export interface MapCopy extends MapArguments {
  readonly src: { readonly space: IovaSpace<AreaSpan> };
  readonly srcIova: bigint;
}

/** From byte `start` of what `pages` is made of. Takes over the reference, also when it refuses. @returns its IOVA */
export function* mapPages(iopt: IoPagetable, pages: Pages, start: bigint, what: MapArguments, op: string): Op<bigint> {
  let done = false;
  try {
    iopt.world.checkOpen(op);
    yield* pages.acquire();
    const slice = { pages, offset: start % BigInt(PAGE_SIZE), length: what.length };
    const at = yield* mapAreas(iopt, [slice], checkMap(what, op));
    done = true;
    return at;
  } finally {
    if (!done) yield* giveBack(pages);
  }
}

/** The same backings once more. @returns the IOVA of the copy */
export function* copyAreas(iopt: IoPagetable, what: MapCopy): Op<bigint> {
  const { src, srcIova, length } = what;
  iopt.world.checkOpen("IOMMU_IOAS_COPY");
  const access = checkMap(what, "IOMMU_IOAS_COPY");
  const slices = src.space.contiguous(srcIova, length).map(sliceOf);
  let done = false;
  try {
    const at = yield* mapAreas(iopt, slices, access);
    done = true;
    return at;
  } finally {
    if (!done) for (const { pages } of slices) yield* pages.put();
  }
}

/** With a reference of its own. Whoever has a space of this package has areas of it. */
function sliceOf({ area, iova, last, skipBytes }: AreaPiece<AreaSpan>): Slice {
  const { pages, offset } = area as Area;
  return { pages: (pages as Pages).get(), offset: offset + skipBytes, length: last - iova + 1n };
}

/** Whoever has another reference to it may try again. */
function* giveBack(pages: Pages): Op<void> {
  if (pages.filled.size === 0) yield* pages.rest();
  yield* pages.put();
}
