/** Single pages of a range of RAM, handed out to one driver. */
import { PAGE_SIZE } from "@dma-buf/core";
import type { RamRange } from "./physical.js";

/** Consecutive bytes, whole pages. */
export interface PageBlock {
  readonly start: number;
  readonly sizeBytes: number;
}

export class PagePool {
  readonly #base: number;
  readonly #taken: boolean[];

  constructor({ base, sizeBytes }: RamRange) {
    this.#base = base;
    this.#taken = Array.from({ length: sizeBytes / PAGE_SIZE }, () => false);
  }

  /** Pages handed out. */
  get used(): number {
    return this.#taken.filter((taken) => taken).length;
  }

  /** The lowest that are free, each a block of its own; `null` when there are not so many, and nothing was taken. */
  alloc(pages: number): readonly PageBlock[] | null {
    const free = [...this.#taken.keys()].filter((page) => !this.#taken[page]).slice(0, pages);
    if (free.length < pages) return null;
    for (const page of free) this.#taken[page] = true;
    return free.map((page) => ({ start: this.#base + page * PAGE_SIZE, sizeBytes: PAGE_SIZE }));
  }

  free(blocks: readonly PageBlock[]): void {
    for (const { start, sizeBytes } of blocks)
      this.#taken.fill(false, (start - this.#base) / PAGE_SIZE, (start + sizeBytes - this.#base) / PAGE_SIZE);
  }
}
