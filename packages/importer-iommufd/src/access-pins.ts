/** What an access has pinned, and in which ranges. Linux: `struct iopt_pages_access`. */
import type { PhysVec } from "./host.js";
import type { Area } from "./area.js";
import type { AreaPiece } from "./area-span.js";
import type { Pages, Piece } from "./pages.js";

/** Bytes of the backing of one area. */
export interface Part {
  readonly area: Area;
  readonly offset: number;
  readonly sizeBytes: number;
}

interface PinnedRange {
  readonly iova: bigint;
  readonly length: bigint;
  readonly parts: readonly Part[];
}

/**
 * Nothing here sleeps: a step of the scheduler stands for `iova_rwsem` and `pages->mutex`, and an area that is there when
 * it begins is there when it ends.
 */
export class AccessPins {
  readonly #pinned: PinnedRange[] = [];

  /** All or nothing; no area of it goes before {@link remove}. @throws DmaBufError what keeps a page from being pinned */
  add(iova: bigint, length: bigint, parts: readonly Part[]): readonly PhysVec[] {
    const found: PhysVec[] = [];
    const taken: Part[] = [];
    try {
      for (const part of parts) {
        found.push(...pin(part));
        taken.push(part);
      }
    } catch (error) {
      for (const part of taken) unpin(part);
      throw error;
    }
    this.#pinned.push({ iova, length, parts });
    return found;
  }

  /** Gives back one {@link add} of exactly this range. @returns false: there is none */
  remove(iova: bigint, length: bigint): boolean {
    const at = this.#pinned.findIndex((range) => range.iova === iova && range.length === length);
    const [range] = at < 0 ? [] : this.#pinned.splice(at, 1);
    for (const part of range?.parts ?? []) unpin(part);
    return at >= 0;
  }
}

/** Pinned while they are copied, and no longer. @throws DmaBufError as {@link AccessPins.add} */
export function whilePinned(part: Part, copy: (piece: Piece) => void): void {
  const pieces = pin(part);
  try {
    for (const piece of pieces) copy(piece);
  } finally {
    unpin(part);
  }
}

export function partOf({ area, iova, last, skipBytes }: AreaPiece<Area>): Part {
  return { area, offset: Number(area.offset + skipBytes), sizeBytes: Number(last - iova + 1n) };
}

function pin({ area, offset, sizeBytes }: Part): readonly Piece[] {
  const pieces = (area.pages as Pages).pin(offset, sizeBytes) ?? [];
  area.accesses++;
  return pieces;
}

function unpin({ area, offset, sizeBytes }: Part): void {
  (area.pages as Pages).unpin(offset, sizeBytes);
  area.accesses--;
}
