/** Areas as the address side sees them, and what COPY and UNMAP look for among them. */
import type { DisjointRanges, IovaRange } from "./intervals.js";
import { refuse } from "./refusal.js";
import { hex64 } from "./u64.js";

/** An area as the address side sees it: occupied from its insertion until its removal, whatever is translated in it. */
export interface AreaSpan extends IovaRange {
  /** Where in its first page of the backing it begins, bytes below a page's. */
  readonly pageOffset: number;
  /** False while it is being filled or torn down. Linux: `area->pages` is NULL. */
  readonly isReady: boolean;
}

/** A piece of an area, for COPY. */
export interface AreaPiece<A extends AreaSpan> extends IovaRange {
  readonly area: A;
  /** Bytes from the area's first. */
  readonly skipBytes: bigint;
}

/** As `IovaSpace.contiguous()`. */
export function piecesOf<A extends AreaSpan>(areas: DisjointRanges<A>, range: IovaRange, op: string): AreaPiece<A>[] {
  const { iova, last } = range;
  const found = areas.within(range);
  let next = iova;
  for (const area of found) {
    if (area.iova > next) break;
    if (!area.isReady) refuse("ENOENT", op, `the area at ${hex64(area.iova)} is being filled or torn down`, range);
    next = area.last + 1n;
  }
  if (next <= last) refuse("ENOENT", op, `nothing is mapped at ${hex64(next)}: choose a range that areas cover`, range);
  return found.map((area) => {
    const from = area.iova > iova ? area.iova : iova;
    return { area, iova: from, last: area.last < last ? area.last : last, skipBytes: from - area.iova };
  });
}

/** As `IovaSpace.nextToUnmap()`. */
export function firstToUnmap<A extends AreaSpan>(areas: DisjointRanges<A>, range: IovaRange): A | null {
  const op = "IOMMU_IOAS_UNMAP";
  const area = areas.first(range);
  if (!area) return null;
  const { iova, last } = area;
  const at = hex64(iova);
  if (!area.isReady)
    refuse("EBUSY", op, `the area at ${at} is being filled or torn down: wait for who does`, { iova, last });
  if (iova < range.iova || last > range.last)
    refuse("ENOENT", op, `the area from ${at} to ${hex64(last)} is not split: unmap all of it`, range);
  return area;
}
