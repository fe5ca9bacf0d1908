/** What follows from a format and the leaf sizes that a table uses of it: made once for both, as neither ever changes. */
import type { Format } from "../format.js";
import { LeafSizes } from "../leaf-size.js";
import { FlagsCache } from "./flags.js";

const PAGE_LOG2 = 12;

export interface Leaves {
  /** The leaf sizes to use, ascending. */
  readonly sizesLog2: readonly number[];
  readonly sizes: LeafSizes;
  readonly flags: FlagsCache;
}

const KNOWN = new WeakMap<Format, Map<string, Leaves>>();

/** @throws RangeError for sizes that the format has not, or without pages */
export function leavesOf(format: Format, wanted: readonly number[] = format.leafSizesLog2): Leaves {
  let known = KNOWN.get(format);
  if (!known) KNOWN.set(format, (known = new Map()));
  const key = wanted.join();
  let leaves = known.get(key);
  if (!leaves) known.set(key, (leaves = make(format, wanted)));
  return leaves;
}

function make(format: Format, wanted: readonly number[]): Leaves {
  const sizesLog2 = sizesOf(format, wanted);
  return { sizesLog2, sizes: new LeafSizes(sizesLog2), flags: new FlagsCache(format, sizesLog2) };
}

/** The leaf sizes to use. The largest that Linux uses is a quarter of the input addresses. */
function sizesOf(format: Format, wanted: readonly number[]): readonly number[] {
  const strange = wanted.find((s) => !format.leafSizesLog2.includes(s));
  if (strange !== undefined || !wanted.includes(PAGE_LOG2))
    throw new RangeError(
      `leafSizesLog2 [${wanted.join(", ")}]: take some of ${format.id}'s ${format.leafSizesLog2.join(", ")}, with 12`,
    );
  return wanted.toSorted((a, b) => a - b).filter((s) => s < format.vaBits - 1);
}
