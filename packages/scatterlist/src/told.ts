/** What an importer was told of a buffer, to see whether it can be true: runs by offset, neighbours joined. */
import { hex, type Run } from "@dma-buf/core";
import { agree, goesOn } from "./space.js";

const endOf = (run: Run): number => run.offset + run.sizeBytes;

/**
 * The runs that an importer was told and that are in force. Each byte has one address, and is reached in one way, until
 * everything is forgotten.
 * @example
 * const told = new Told();
 * const page = { kind: "dma", offset: 0, sizeBytes: 4096, address: addr(0x1000) };
 * told.add(page);
 * told.contradiction(page); // null
 * told.contradiction({ ...page, address: addr(0x9000) }).startsWith("offset 0x0 was at 0x1000 (dma)"); // true
 */
export class Told {
  /** Ascending, disjoint. */
  readonly #runs: Run[] = [];

  get isEmpty(): boolean {
    return this.#runs.length === 0;
  }

  /** What was told and says otherwise of a byte of `run`, in words; `null`: nothing. */
  contradiction(run: Run): string | null {
    for (let i = this.#firstEndingAfter(run.offset); i < this.#runs.length; i++) {
      const known = this.#runs[i] as Run;
      if (known.offset >= endOf(run)) break;
      if (!agree(known, run)) return inWords(known, run);
    }
    return null;
  }

  /** Notes a run of at least one byte, which nothing contradicts. */
  add(run: Run): void {
    let first = this.#firstEndingAfter(run.offset);
    let last = first;
    while (last < this.#runs.length && (this.#runs[last] as Run).offset < endOf(run)) last++;
    if (first > 0 && goesOn(this.#runs[first - 1] as Run, run)) first--;
    if (last < this.#runs.length && goesOn(run, this.#runs[last] as Run)) last++;
    this.#runs.splice(first, last - first, hull(run, this.#runs.slice(first, last)));
  }

  forget(): void {
    this.#runs.length = 0;
  }

  #firstEndingAfter(offset: number): number {
    let [low, high] = [0, this.#runs.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (endOf(this.#runs[middle] as Run) <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** `run` and those that agree with it, overlap it or touch it, as one. */
function hull(run: Run, others: readonly Run[]): Run {
  const [lowest = run, highest = run] = [others[0], others.at(-1)];
  const start = lowest.offset < run.offset ? lowest : run;
  return { ...start, sizeBytes: Math.max(endOf(highest), endOf(run)) - start.offset };
}

function inWords(known: Run, run: Run): string {
  const at = Math.max(known.offset, run.offset);
  const place = (r: Run): string => `${hex(r.address + at - r.offset)} (${r.kind}${reached(r)})`;
  return `offset ${hex(at)} was at ${place(known)}, and is said to be at ${place(run)}, though nobody was told to stop`;
}

function reached(run: Run): string {
  if (run.kind === "dma" || !run.attributes) return "";
  return `, ${run.attributes.cache}, ${run.attributes.snoop ? "snooped" : "not snooped"}`;
}
