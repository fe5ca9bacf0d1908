/** Areas as the address side sees them, and what COPY and UNMAP look for among them. */
import type { DisjointRanges, IovaRange } from "./intervals.js";
import { refuseIova } from "./iova-refusal.js";
import { hex64, U64_MAX } from "./u64.js";

/** An area as the address side sees it: occupied from its insertion until its removal, whatever is translated in it. */
export interface AreaSpan extends IovaRange {
  /** Where in its first page of the backing it begins, bytes below a page's. */
  readonly pageOffset: number;
  /** False while it is being filled or torn down. Linux: `area->pages` is NULL. */
  readonly isReady: boolean;
  /** Above 0: it must not go, since somebody is at work in it. Linux: `num_locks`. */
  readonly locks: number;
}

/** A piece of an area, for COPY. */
export interface AreaPiece<A extends AreaSpan> extends IovaRange {
  readonly area: A;
  /** Bytes from the area's first. */
  readonly skipBytes: bigint;
}

export const UNMAP = "IOMMU_IOAS_UNMAP";

/** @throws DmaBufError `EINVAL` length 0 · `EOVERFLOW` beyond 64 bits */
export function lastOf(iova: bigint, length: bigint, op: string): bigint {
  const values = { iova, length };
  if (length === 0n) refuseIova("EINVAL", "length is 0: give at least one byte", values, op);
  const last = iova + length - 1n;
  if (last > U64_MAX) refuseIova("EOVERFLOW", `${hex64(iova)} + ${hex64(length)} is beyond 64 bits`, values, op);
  return last;
}

/** As `IovaSpace.contiguous()`. */
export function piecesOf<A extends AreaSpan>(areas: DisjointRanges<A>, range: IovaRange, op: string): AreaPiece<A>[] {
  const { iova, last } = range;
  const found = areas.within(range);
  let next = iova;
  for (const area of found) {
    if (area.iova > next) break;
    if (!area.isReady) refuseIova("ENOENT", `the area at ${hex64(area.iova)} is being filled or torn down`, range, op);
    next = area.last + 1n;
  }
  if (next <= last)
    refuseIova("ENOENT", `nothing is mapped at ${hex64(next)}: choose a range that areas cover`, range, op);
  return found.map((area) => {
    const from = area.iova > iova ? area.iova : iova;
    return { area, iova: from, last: area.last < last ? area.last : last, skipBytes: from - area.iova };
  });
}

/** As `IovaSpace.nextToUnmap()`. */
export function firstToUnmap<A extends AreaSpan>(areas: DisjointRanges<A>, range: IovaRange): A | null {
  const area = areas.first(range);
  if (!area) return null;
  const { iova, last } = area;
  const at = hex64(iova);
  if (!area.isReady || area.locks > 0)
    refuseIova("EBUSY", `the area at ${at} is in use: wait for who works in it`, { iova, last }, UNMAP);
  if (iova < range.iova || last > range.last)
    refuseIova("ENOENT", `the area from ${at} to ${hex64(last)} is not split: unmap all of it`, range, UNMAP);
  return area;
}
