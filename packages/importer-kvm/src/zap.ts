/** Taking leaves out of the second stage. Linux: `kvm_unmap_gfn_range()`, `kvm_tdp_mmu_unmap_gfn_range()`. */
import { type Op, PAGE_SIZE } from "@dma-buf/core";
import type { PageTable, TableGather } from "@dma-buf/page-table";
import type { Gfn } from "./memslot.js";
import type { GfnRange } from "./mmu.js";

/** Which leaves: those of private frames, of shared ones, or both. Linux: `kvm_gfn_range_filter`. */
export type View = "private" | "shared" | "both";

/**
 * How slots, attributes and files take frames away from the guest: begins an invalidate of the ranges, zaps what the guest has
 * of `view` there, flushes, runs `change`, and ends it. From its first step under `mmu_lock` until it is over, no fault
 * installs in a range; what `change` does, every later fault sees. A task that is ended before `change` has changed nothing.
 * Sleeps; call without `mmu_lock`.
 */
export type InvalidateGfns = (ranges: readonly GfnRange[], view: View, change: () => void) => Op<void>;

/** The second stage and what goes with it. */
export interface Zapper {
  readonly table: PageTable;
  isPrivate(gfn: Gfn): boolean;
  /** Where tables go that nobody can reach any more. */
  freeTables(tables: TableGather): void;
  /** Flushes and kicks, and returns when no vCPU uses what it cached. */
  flush(): Op<void>;
}

/**
 * Removes every leaf that has a frame in `range`, whole: also one that reaches out of it. `mmu_lock` held for writing. Flush
 * afterwards, and give back what came into `gather`. Were there any?
 */
export function unmapRange(zapper: Zapper, { start, end }: GfnRange, view: View, gather: TableGather): boolean {
  const { table } = zapper;
  const spans: { va: number; end: number }[] = [];
  for (const leaf of table.leaves(start * PAGE_SIZE, (end - start) * PAGE_SIZE)) {
    if (view !== "both" && (view === "private") !== zapper.isPrivate(leaf.va / PAGE_SIZE)) continue;
    const last = spans.at(-1);
    if (last?.end === leaf.va) last.end += leaf.sizeBytes;
    else spans.push({ va: leaf.va, end: leaf.va + leaf.sizeBytes });
  }
  for (const { va, end: to } of spans) table.unmap(va, to - va, gather);
  return spans.length > 0;
}

/** {@link unmapRange} of several ranges and the flush, `mmu_lock` held for writing. */
export function* zapAndFlush(zapper: Zapper, ranges: readonly GfnRange[], view: View): Op<void> {
  const gather: TableGather = [];
  const zapped = ranges.map((range) => unmapRange(zapper, range, view, gather));
  try {
    if (zapped.includes(true)) yield* zapper.flush();
  } finally {
    zapper.freeTables(gather);
  }
}
