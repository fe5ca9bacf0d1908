/** Closed ranges of IOVAs, in ascending order. */
import { hex64, U64_MAX } from "./u64.js";

/** From `iova` to `last`, both inside: 64 bits have no end that is open. */
export interface IovaRange {
  readonly iova: bigint;
  readonly last: bigint;
}

/** All 64 bits. */
export const WHOLE: IovaRange = { iova: 0n, last: U64_MAX };

/** For a message. */
export const shownRange = ({ iova, last }: IovaRange): string => `[${hex64(iova)}, ${hex64(last)}]`;

export const intersects = (a: IovaRange, b: IovaRange): boolean => a.iova <= b.last && b.iova <= a.last;

/** Disjoint ranges. Finding one takes the logarithm of their number, inserting one moves those behind it. */
export class DisjointRanges<R extends IovaRange> {
  readonly #sorted: R[] = [];

  get size(): number {
    return this.#sorted.length;
  }

  /** Ascending. Do not keep it across a change. */
  [Symbol.iterator](): IterableIterator<R> {
    return this.#sorted.values();
  }

  /** The lowest that has a byte in `[iova, last]`. */
  first({ iova, last }: IovaRange): R | null {
    const found = this.#sorted[this.#endingFrom(iova)];
    return found && found.iova <= last ? found : null;
  }

  /** All that have a byte in `[iova, last]`, ascending. */
  within({ iova, last }: IovaRange): R[] {
    const from = this.#endingFrom(iova);
    let to = from;
    while ((this.#sorted[to]?.iova ?? last + 1n) <= last) to++;
    return this.#sorted.slice(from, to);
  }

  /** The caller has seen that it intersects none. */
  insert(range: R): void {
    this.#sorted.splice(this.#endingFrom(range.iova), 0, range);
  }

  /** @returns false: it is not here */
  remove(range: R): boolean {
    const at = this.#endingFrom(range.iova);
    if (this.#sorted[at] !== range) return false;
    this.#sorted.splice(at, 1);
    return true;
  }

  /** The index of the first range that ends at `iova` or behind it. */
  #endingFrom(iova: bigint): number {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#sorted[middle]?.last ?? 0n) < iova) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** What is left of `within` when `used` (ascending, may overlap) are taken out, ascending. */
export function* holes(within: IovaRange, used: Iterable<IovaRange>): Generator<IovaRange> {
  let from = within.iova;
  for (const { iova, last } of used) {
    if (last < from) continue;
    if (iova > within.last) break;
    if (iova > from) yield { iova: from, last: iova - 1n };
    from = last + 1n;
  }
  if (from <= within.last) yield { iova: from, last: within.last };
}

/** Two ascending sequences as one, ascending by where a range begins. */
export function* merged(a: Iterable<IovaRange>, b: Iterable<IovaRange>): Generator<IovaRange> {
  const right = b[Symbol.iterator]();
  let next = right.next();
  for (const range of a) {
    for (; !next.done && next.value.iova <= range.iova; next = right.next()) yield next.value;
    yield range;
  }
  for (; !next.done; next = right.next()) yield next.value;
}
