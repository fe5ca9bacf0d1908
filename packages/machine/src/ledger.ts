/**
 * One count of everything that somebody took and has to give back: references, maps, IOVAs, table pages, TLB entries.
 * Who hands a thing out registers how many are out; nobody counts twice. Entries of caches are counted as well, but no
 * invariant wants them back: they are flushed, and what they say later is another invariant's.
 */

/** What is out, by kind. */
export type Counts = Readonly<Record<string, number>>;

/** A kind whose count changed. */
export interface Difference {
  readonly kind: string;
  readonly before: number;
  readonly after: number;
}

/**
 * @example
 * const ledger = new ResourceLedger();
 * ledger.registerAll(() => framework.ledger);
 * ledger.register("iovas", () => allocator.live);
 */
export class ResourceLedger {
  readonly #sources: (() => Counts)[] = [];

  /** Counts of one kind from several sources add up. `live` is called at each reading and must change nothing. */
  register(kind: string, live: () => number): void {
    this.#sources.push(() => ({ [kind]: live() }));
  }

  /** For what already has counts of several kinds, as `Framework.ledger` has. */
  registerAll(counts: () => object): void {
    this.#sources.push(counts as () => Counts);
  }

  /** What is out now. */
  read(): Counts {
    const sum: Record<string, number> = {};
    for (const source of this.#sources)
      for (const [kind, n] of Object.entries(source())) sum[kind] = (sum[kind] ?? 0) + n;
    return sum;
  }
}

/** Kinds whose counts differ, in the order of `after`. */
export function differences(before: Counts, after: Counts): readonly Difference[] {
  const kinds = new Set([...Object.keys(after), ...Object.keys(before)]);
  return [...kinds]
    .map((kind) => ({ kind, before: before[kind] ?? 0, after: after[kind] ?? 0 }))
    .filter((d) => d.before !== d.after);
}
