/** Where nobody may map, and where the kernel may choose: the two sets of an IOAS besides its areas. */
import { DisjointRanges, holes, intersects, type IovaRange, shownRange, WHOLE } from "./intervals.js";
import { refuse } from "./refusal.js";

/** It belongs to its owner, who takes it back when he leaves: a device's region, what a domain cannot reach. */
interface Reserved extends IovaRange {
  readonly owner: object;
}

/** Both sets are small: what is asked looks at all of a set. */
export class IovaLimits {
  /** May overlap. Ascending. */
  #reserved: readonly Reserved[] = [];
  #allowed: readonly IovaRange[] = [];

  /** Ascending, may overlap. */
  get reserved(): readonly IovaRange[] {
    return this.#reserved;
  }

  /** Ascending, with holes between them; null: everywhere. */
  get allowed(): readonly IovaRange[] | null {
    return this.#allowed.length > 0 ? this.#allowed : null;
  }

  reservedIn(range: IovaRange): IovaRange | undefined {
    return this.#reserved.find((reserved) => intersects(reserved, range));
  }

  allowedIn(range: IovaRange): IovaRange | undefined {
    return this.#allowed.find((allowed) => intersects(allowed, range));
  }

  /** The caller has looked for areas and for what is allowed. */
  reserve(range: IovaRange, owner: object): void {
    this.#reserved = [...this.#reserved, { ...range, owner }].toSorted(byIova);
  }

  unreserve(owner: object): void {
    this.#reserved = this.#reserved.filter((range) => range.owner !== owner);
  }

  /** What no owner reserved, ascending. */
  free(): IovaRange[] {
    return [...holes(WHOLE, this.#reserved)];
  }

  /** All or nothing. Looks at one after the other, as they come. @throws DmaBufError as `IovaSpace.allow()` */
  allow(ranges: Iterable<IovaRange>): void {
    const op = "IOMMU_IOAS_ALLOW_IOVAS";
    const wanted = new DisjointRanges<IovaRange>();
    for (const range of ranges) {
      if (range.iova >= range.last)
        refuse("EINVAL", op, `${shownRange(range)} ends where it begins, or before: give its last byte`, range);
      const other = wanted.first(range);
      if (other) refuse("EINVAL", op, `${shownRange(range)} intersects ${shownRange(other)}: allow them as one`, range);
      wanted.insert(range);
    }
    for (const range of wanted) {
      const reserved = this.reservedIn(range);
      if (reserved)
        refuse("EADDRINUSE", op, `${shownRange(range)} intersects the reserved ${shownRange(reserved)}`, range);
    }
    this.#allowed = joined(wanted);
  }
}

/** Those that touch are one: an area may lie over their border. Linux: `interval_tree_span_iter_next_gap()`. */
function joined(ascending: Iterable<IovaRange>): IovaRange[] {
  const all: IovaRange[] = [];
  for (const range of ascending) {
    const before = all.at(-1);
    if (before && before.last + 1n === range.iova) all.splice(-1, 1, { iova: before.iova, last: range.last });
    else all.push(range);
  }
  return all;
}

const byIova = (a: IovaRange, b: IovaRange): number => (a.iova < b.iova ? -1 : Number(a.iova > b.iova));
