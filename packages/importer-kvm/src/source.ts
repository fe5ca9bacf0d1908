/** Where the page of a guest frame comes from, as a fault sees it. */
import type { Op } from "@dma-buf/core";
import type { MemoryType } from "@dma-buf/page-table";
import type { Extent } from "./level.js";
import type { Gfn, MemorySlot } from "./memslot.js";

/** A page, with what may be mapped around it. */
export interface FoundPage {
  readonly extent: Extent;
  /** What its owner says; `null`: nobody says anything, and KVM goes by the page frame. */
  readonly cache: MemoryType | null;
  /** The VM whose alone it is: for its private frames. @defaultValue anybody's */
  readonly owner?: object;
}

/** Installs the page, or says that the fault must be tried again. Sleeps at `mmu_lock`. */
export type Install = (page: FoundPage) => Op<boolean>;

/**
 * Finds the page of `gfn` and gives it to `install`; its answer. Sleeps; call without `mmu_lock`. Where the source can
 * keep the page in its place meanwhile, it does: it holds the reservation, or the page, until `install` is through.
 * @throws DmaBufError what `KVM_RUN` ends with; what `install` throws
 */
export type PageSource = (slot: MemorySlot, gfn: Gfn, install: Install) => Op<boolean>;

/** The same page, its frames counted from elsewhere. */
export function shifted(page: FoundPage, by: number): FoundPage {
  return { ...page, extent: { ...page.extent, gfn: page.extent.gfn + by } };
}

/** Only what lies in the first `pages` frames. */
export function clippedTo(page: FoundPage, pages: number): FoundPage {
  const { gfn, pfn, pages: all } = page.extent;
  const from = Math.max(gfn, 0);
  return { ...page, extent: { gfn: from, pfn: pfn + from - gfn, pages: Math.min(gfn + all, pages) - from } };
}
