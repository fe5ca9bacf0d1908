/** What an importer was told of a buffer, to see whether it can be true: runs by offset, neighbours joined. */
import { hex, type Run } from "@dma-buf/core";
import { agree } from "./space.js";

const endOf = (run: Run): number => run.offset + run.sizeBytes;

/**
 * The runs that an importer was told and that are in force. Each byte has one address until everything is forgotten.
 * @example
 * const told = new Told();
 * told.add({ kind: "dma", offset: 0, sizeBytes: 4096, address: addr(0x1000) }); // null
 * told.add({ kind: "dma", offset: 0, sizeBytes: 4096, address: addr(0x9000) }); // "offset 0x0 was at 0x1000 (dma), …"
 */
export class Told {
  /** Ascending, disjoint. */
  readonly #runs: Run[] = [];

  /** Notes a run. What contradicts it, in words; then nothing was noted. */
  add(run: Run): string | null {
    const from = this.#firstEndingAtOrAfter(run.offset);
    let to = from;
    for (let known = this.#runs[to]; known && known.offset <= endOf(run); known = this.#runs[++to]) {
      const touches = known.offset === endOf(run) || endOf(known) === run.offset;
      if (!touches && !agree(known, run)) return contradiction(known, run);
    }
    let first = from;
    if (this.#runs[first] && first < to && !agree(this.#runs[first] as Run, run)) first++;
    let last = to;
    if (last > first && !agree(this.#runs[last - 1] as Run, run)) last--;
    this.#runs.splice(first, last - first, this.#joined(run, first, last));
    return null;
  }

  forget(): void {
    this.#runs.length = 0;
  }

  #joined(run: Run, first: number, last: number): Run {
    const [lowest, highest] = last > first ? [this.#runs[first] as Run, this.#runs[last - 1] as Run] : [run, run];
    const start = lowest.offset < run.offset ? lowest : run;
    const end = Math.max(endOf(highest), endOf(run));
    return { ...start, sizeBytes: end - start.offset };
  }

  #firstEndingAtOrAfter(offset: number): number {
    let [low, high] = [0, this.#runs.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (endOf(this.#runs[middle] as Run) < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function contradiction(known: Run, run: Run): string {
  const at = Math.max(known.offset, run.offset);
  const place = (r: Run): string => `${hex(r.address + at - r.offset)} (${r.kind})`;
  return `offset ${hex(at)} was at ${place(known)}, and is said to be at ${place(run)}, though nobody was told to stop`;
}
