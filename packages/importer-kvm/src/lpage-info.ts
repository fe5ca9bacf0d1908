/**
 * Where a slot may have large pages. Linux keeps a counter for each large frame of each slot (`lpage_info`), filled once;
 * what fills it is a rule of two ends and a congruence, so here it is asked and not kept: a slot of 1 TiB costs nothing.
 */
import { PAGE_SIZE } from "@dma-buf/core";
import type { MemoryAttributes } from "./attributes.js";
import { baseGfn, type Gfn, type MemorySlot, pagesOf } from "./memslot.js";

/** 4 KiB, 2 MiB, 1 GiB. Linux: `PG_LEVEL_4K`, `PG_LEVEL_2M`, `PG_LEVEL_1G`. */
export type Level = 1 | 2 | 3;

/** Pages of one leaf of that level. Linux: `KVM_PAGES_PER_HPAGE()`. */
export function pagesPerLevel(level: Level): number {
  return 512 ** (level - 1);
}

/** Bytes of one leaf of that level. */
export function bytesPerLevel(level: Level): number {
  return PAGE_SIZE * pagesPerLevel(level);
}

/** The first frame of the leaf of that level that holds `gfn`. */
export function roundDown(gfn: Gfn, level: Level): Gfn {
  return gfn - (gfn % pagesPerLevel(level));
}

/**
 * May the slot have a leaf of that level over `gfn`? Not where the leaf would stick out of the slot; nowhere if guest frame
 * and `hva` are not congruent modulo the leaf; and not over frames of which some are private and some shared.
 *
 * Linux asks for the congruence whatever backs the slot: one over a guest_memfd or a dma-buf with `hva` 0 has large pages
 * only if it begins at a multiple of them. Under `mmu_lock`.
 */
export function lpageAllowed(
  slot: Pick<MemorySlot, "gpa" | "sizeBytes" | "hva">,
  gfn: Gfn,
  level: Level,
  attributes: Pick<MemoryAttributes, "isUniform">,
): boolean {
  if (level === 1) return true;
  const pages = pagesPerLevel(level);
  const start = roundDown(gfn, level);
  const isInside = baseGfn(slot) <= start && start + pages <= baseGfn(slot) + pagesOf(slot);
  return isInside && isCongruent(slot, level) && attributes.isUniform(start, start + pages);
}

/** Do guest-physical and process address lie alike in a leaf of that level? */
function isCongruent({ gpa, hva }: Pick<MemorySlot, "gpa" | "hva">, level: Level): boolean {
  const bytes = bytesPerLevel(level);
  return gpa % bytes === hva % bytes;
}
