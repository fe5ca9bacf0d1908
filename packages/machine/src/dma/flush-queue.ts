/** Lazy flushing: what was unmapped waits, IOVA and tables held, until one flush of the whole domain covers many. */
import type { Iova, PhysAddr } from "@dma-buf/core";

/** Unmapped, and not flushed yet. */
export interface Queued {
  readonly iova: Iova;
  /** Tables that came out of the page table: hardware may have cached the way to them. */
  readonly tables: readonly PhysAddr[];
}

/** Entries that wait before the next one forces a flush. */
export const QUEUE_MAX = 256;

export class FlushQueue {
  readonly #queued: Queued[] = [];
  readonly #flush: () => void;
  readonly #release: (one: Queued) => void;

  /** @param flush of the whole domain, device TLBs included; @param release gives back what an entry held */
  constructor(flush: () => void, release: (one: Queued) => void) {
    this.#flush = flush;
    this.#release = release;
  }

  add(one: Queued): void {
    if (this.#queued.length === QUEUE_MAX) this.drain();
    this.#queued.push(one);
  }

  /** Flushes, then gives everything back. Nothing happens where nothing waits. @throws what the first release threw */
  drain(): void {
    if (this.#queued.length === 0) return;
    this.#flush();
    this.#releaseAll(this.#queued.splice(0));
  }

  /** One that fails keeps no other from being given back: they are out of the queue already. */
  #releaseAll([one, ...others]: readonly Queued[]): void {
    if (!one) return;
    try {
      this.#release(one);
    } finally {
      this.#releaseAll(others);
    }
  }

  /** Entries that wait. */
  get length(): number {
    return this.#queued.length;
  }
}
