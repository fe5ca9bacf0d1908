/**
 * How large a leaf may be. Linux: `kvm_max_level_for_order()`, `kvm_mmu_max_mapping_level()`,
 * `kvm_mmu_hugepage_adjust()`, arch/x86/kvm/mmu/mmu.c.
 */
import { type Level, pagesPerLevel, roundDown } from "./lpage-info.js";
import type { Gfn } from "./memslot.js";

/** Consecutive frames of the guest that lie in consecutive page frames of the host. */
export interface Extent {
  readonly gfn: Gfn;
  readonly pfn: number;
  readonly pages: number;
}

/** `lpage_info` and the slot's ends: may there be a leaf of that level over `gfn`? */
export type LevelAllowed = (gfn: Gfn, level: Level) => boolean;

/** How a leaf's level is chosen: at most `max`. */
export type ChooseLevel = (gfn: Gfn, extent: Extent, max: Level, allowed: LevelAllowed) => Level;

/** An order between two levels is rounded down: 12 is 2 MiB. */
export function levelOfOrder(order: number): Level {
  if (order >= 18) return 3;
  return order >= 9 ? 2 : 1;
}

/** The largest level whose whole aligned range lies in `extent`, is congruent, and is allowed. */
export const safeLevel: ChooseLevel = (gfn, extent, max, allowed) => {
  for (let level: Level = max; level > 1; level--) {
    const pages = pagesPerLevel(level);
    const first = roundDown(gfn, level);
    const isWithin = extent.gfn <= first && first + pages <= extent.gfn + extent.pages;
    if (isWithin && isCongruent(extent, level) && allowed(gfn, level)) return level;
  }
  return 1;
};

/**
 * As the series of January 2025 has it: the exporter's order is believed, and `lpage_info`. That guest and host frame
 * agree below the leaf is taken for granted.
 */
export const postedLevel: ChooseLevel = (gfn, extent, max, allowed) => {
  let level = Math.min(max, levelOfOrder(Math.floor(Math.log2(extent.pages)))) as Level;
  while (level > 1 && !allowed(gfn, level)) level = (level - 1) as Level;
  return level;
};

/** Do guest and host frame agree below a leaf of `level`? */
export function isCongruent(extent: Extent, level: Level): boolean {
  return (extent.pfn - extent.gfn) % pagesPerLevel(level) === 0;
}
