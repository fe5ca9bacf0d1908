/**
 * Which leaf to use: the largest that divides both addresses and is not longer than what is left, and how many of it
 * before that has to be asked again. Source: Linux drivers/iommu/generic_pt/pt_iter.h.
 */

import { POWER } from "./engine/layout.js";

/** log2 of the largest power of two that divides `n`; 64 for 0. `n` below 2^53. */
function alignmentLog2(lo: number, hi: number): number {
  if (lo !== 0) return 31 - Math.clz32(lo & -lo);
  return hi === 0 ? 64 : 63 - Math.clz32(hi & -hi);
}

/** log2 of `n`, rounded down. `n` from 1 to 2^53 - 1. */
function floorLog2(n: number): number {
  return n >= 2 ** 32 ? 63 - Math.clz32(n / 2 ** 32) : 31 - Math.clz32(n);
}

/**
 * The leaf sizes that a table uses. Numbers only, no division: it is asked for every call of `map`.
 * @example
 * const sizes = new LeafSizes([12, 21, 30]);
 * sizes.best(0x20_0000, 0x1_0020_0000, 0x4000_0000); // 21
 * sizes.count(0x20_0000, 0x1_0020_0000, 0x4000_0000, 21); // 511
 */
export class LeafSizes {
  /** By alignment: the largest size that is not larger. 0: none. */
  readonly #atMost = new Uint8Array(65);
  /** By size: the next larger one. 64: none. */
  readonly #next = new Uint8Array(65).fill(64);

  constructor(sizesLog2: readonly number[]) {
    for (let log2 = 0; log2 <= 64; log2++) {
      this.#atMost[log2] = sizesLog2.findLast((s) => s <= log2) ?? 0;
      this.#next[log2] = sizesLog2.find((s) => s > log2) ?? 64;
    }
  }

  /** log2 of the size after a given one; 64 if that is the largest. */
  next(log2: number): number {
    return this.#next[log2] as number;
  }

  /** log2 of the leaf to use at `va`, for `sizeBytes` from there; 0 if none fits. Linux: `pt_compute_best_pgsize`. */
  best(va: number, physical: number, sizeBytes: number): number {
    const aligned = alignmentLog2(va | physical, (va / 2 ** 32) | (physical / 2 ** 32));
    return this.#atMost[Math.min(aligned, floorLog2(sizeBytes))] as number;
  }

  /** How many leaves of that size follow each other before a larger one may fit. Linux: `pt_pgsz_count`. */
  count(va: number, physical: number, sizeBytes: number, log2: number): number {
    const next = this.#next[log2] as number;
    const congruent = alignmentLog2(va ^ physical, (va / 2 ** 32) ^ (physical / 2 ** 32));
    if (congruent < next || next === 64) return Math.floor(sizeBytes / (POWER[log2] as number));
    const larger = POWER[next] as number;
    const toBoundary = larger - (va - Math.floor(va / larger) * larger);
    return Math.floor(Math.min(toBoundary, sizeBytes) / (POWER[log2] as number));
  }
}
