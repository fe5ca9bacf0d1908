/** What areas are backed by. Linux: `struct iopt_pages`, drivers/iommu/iommufd/pages.c. */
import type { Op, PhysAddr, Scheduler } from "@dma-buf/core";
import type { MemoryType } from "@dma-buf/page-table";
import type { Filled } from "./fill.js";
import { Lock } from "./lock.js";

/** Consecutive bytes of a backing and where they lie. */
export interface Piece {
  readonly physical: PhysAddr;
  readonly sizeBytes: number;
  /** How memory is accessed there; `null`: as RAM is. */
  readonly cache: MemoryType | null;
}

/**
 * A backing: the bytes of one MAP. Areas in any number of IOASes share it by COPY, each with a reference. Offsets count
 * from the page in which it begins.
 * @example
 * const ioas = iommufd.createIoas();
 * yield* ioas.map({ userVa: 0x4000_0000n, length: 4096n, flags: 7, iova: 0x10_0000n });
 * yield* ioas.copy({ src: ioas, srcIova: 0x10_0000n, length: 4096n, flags: 7, iova: 0x20_0000n });
 * ioas.space.areas[0].pages.refs; // 2
 */
export abstract class Pages {
  abstract readonly kind: "user" | "file" | "dma-buf";
  /** Of the page in which it begins: its address in the process, or its offset in the file. */
  abstract readonly first: bigint;
  /** May devices write? */
  readonly isWritable: boolean;
  /** Held while pieces are asked for and put into domains, and while they are taken away. */
  readonly mutex: Lock;
  /** Domains in which an area of it is entered. Linux: the trackers of a dma-buf. Changes under {@link mutex}. */
  readonly filled: Set<Filled> = new Set();
  #refs = 1;

  constructor(scheduler: Scheduler, isWritable: boolean, mutex: Lock = new Lock("iommufd.pages_mutex", scheduler)) {
    this.isWritable = isWritable;
    this.mutex = mutex;
  }

  /** References: one by each area. */
  get refs(): number {
    return this.#refs;
  }

  get(): this {
    this.#refs++;
    return this;
  }

  /** With the last reference it is given back. May sleep; hold neither {@link mutex} nor a reservation. */
  *put(): Op<void> {
    if (--this.#refs === 0) yield* this.release();
  }

  /** Before the first use. A dma-buf is asked where it lies. */
  *acquire(): Op<void> {}

  /** Undoes {@link acquire}, when no domain shows any of it. */
  *rest(): Op<void> {}

  /**
   * Where bytes lie, in order, until {@link unpin}, once for each call. `null`: nowhere any more. Hold {@link mutex}.
   * @throws DmaBufError what keeps them from being pinned; then nothing is
   */
  abstract pin(offset: number, sizeBytes: number): readonly Piece[] | null;
  /** Gives back what one {@link pin} with the same arguments got. */
  abstract unpin(offset: number, sizeBytes: number): void;
  protected abstract release(): Op<void>;
}
