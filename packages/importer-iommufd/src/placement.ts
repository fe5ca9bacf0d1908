/** Where the kernel places an area whose IOVA userspace leaves to it. Linux 7.3: `iopt_alloc_iova()`. */
import { PAGE_SIZE } from "@dma-buf/core";
import { holes, type IovaRange, merged } from "./intervals.js";
import { refuse } from "./refusal.js";
import { MAP } from "./validate.js";
import { alignUp, hex64, lowestSetBit, roundUpToPowerOfTwo, U64_MAX } from "./u64.js";

/** A leaf that one entry of the level above the pages translates: no more is worth aligning to. Linux: `HPAGE_SIZE`. */
const HUGE_PAGE_SIZE = 2n ** 21n;
const PAGE = BigInt(PAGE_SIZE);

/** Neither IOVA 0, which means "none" to many drivers, nor the last page, where ends overflow. */
const ANYWHERE: IovaRange = { iova: PAGE, last: U64_MAX - PAGE };

export interface Search {
  /** Bytes, above 0. */
  readonly length: bigint;
  readonly addressHint: bigint;
  /** Of the IOAS: bytes, a power of two. */
  readonly alignment: bigint;
  /** Ascending and disjoint; null: everywhere. */
  readonly within: readonly IovaRange[] | null;
  /** Two ascending sequences of what is taken. */
  readonly used: readonly [Iterable<IovaRange>, Iterable<IovaRange>];
}

/**
 * The lowest IOVA that fits. Looks at each range that is taken, as Linux does.
 * @throws DmaBufError at stage `map`: `EOVERFLOW` · `EINVAL` · `ENOSPC`
 */
export function firstFit({ length, addressHint, alignment, within, used }: Search): bigint {
  if (length >= U64_MAX / 2n) refuse("EOVERFLOW", MAP, `${hex64(length)} is half of 64 bits or more`, { length });
  const wanted = alignmentFor(addressHint, length);
  if (wanted < alignment)
    refuse(
      "EINVAL",
      MAP,
      `the hint ${hex64(addressHint)} is aligned to ${hex64(wanted)}: align it to ${hex64(alignment)}`,
      { addressHint, alignment },
    );
  const offset = addressHint % PAGE;
  for (const range of within ?? [ANYWHERE])
    for (const hole of holes(clip(range), merged(...used))) {
      const start = alignUp(hole.iova, wanted) | offset;
      // Linux compares with the last byte itself, so that a single byte never goes where only it has room.
      if (start < hole.last && start + length - 1n <= hole.last) return start;
    }
  return refuse("ENOSPC", MAP, `no hole of ${hex64(length)} bytes is left: unmap something, or allow more`, { length });
}

/** As aligned as a leaf could use it: not above the length, nor above what the hint itself has. */
function alignmentFor(hint: bigint, length: bigint): bigint {
  const ofLength = roundUpToPowerOfTwo(length);
  const ofHint = hint === 0n ? ofLength : lowestSetBit(hint);
  return [ofLength, ofHint, HUGE_PAGE_SIZE].reduce((a, b) => (a < b ? a : b));
}

function clip({ iova, last }: IovaRange): IovaRange {
  return { iova: iova > ANYWHERE.iova ? iova : ANYWHERE.iova, last: last < ANYWHERE.last ? last : ANYWHERE.last };
}
