/** Physical ranges, in the order of a buffer's bytes, and the page frames in them. */
import { addr, PAGE_SIZE, type Pfn, type PfnAnswer, pfnOf, type PhysAddr } from "@dma-buf/core";

/** Consecutive bytes by CPU-physical address. Linux: `struct phys_vec`. */
export interface PhysVec {
  readonly physical: PhysAddr;
  readonly sizeBytes: number;
}

/**
 * Bytes that `vecs` cover.
 * @example
 * sizeOf([{ physical: addr(0x1000), sizeBytes: 4096 }, { physical: addr(0x9000), sizeBytes: 4096 }]); // 8192
 */
export function sizeOf(vecs: readonly PhysVec[]): number {
  return vecs.reduce((sum, v) => sum + v.sizeBytes, 0);
}

/**
 * The frame of page `pgoff`, with the order of the largest naturally aligned run around it that lies in one range;
 * `null` beyond the end, and for what is no page offset. Whole pages only.
 * @example
 * const vecs = [{ physical: addr(0x2000), sizeBytes: 8192 }, { physical: addr(0x9000), sizeBytes: 4096 }];
 * frameAt(vecs, 1); // { pfn: 3, maxOrder: 1 }
 * frameAt(vecs, 2); // { pfn: 9, maxOrder: 0 }
 * frameAt(vecs, 3); // null
 */
export function frameAt(vecs: readonly PhysVec[], pgoff: number): PfnAnswer | null {
  if (!Number.isSafeInteger(pgoff) || pgoff < 0) return null;
  let offset = pgoff * PAGE_SIZE;
  for (const { physical, sizeBytes } of vecs) {
    if (offset < sizeBytes) {
      const at = addr<PhysAddr>(physical + offset);
      return { pfn: pfnOf(at), maxOrder: orderInside(at, physical, physical + sizeBytes) };
    }
    offset -= sizeBytes;
  }
  return null;
}

/**
 * Every frame of `vecs`, in the order of the buffer's pages: the pages behind a table of RAM. Whole pages only.
 * @example
 * pfnsOf([{ physical: addr(0x2000), sizeBytes: 8192 }, { physical: addr(0x9000), sizeBytes: 4096 }]); // [2, 3, 9]
 */
export function pfnsOf(vecs: readonly PhysVec[]): Pfn[] {
  return vecs.flatMap(({ physical, sizeBytes }) =>
    Array.from({ length: sizeBytes / PAGE_SIZE }, (_, i) => pfnOf(addr<PhysAddr>(physical + i * PAGE_SIZE))),
  );
}

/**
 * Bytes `[offset, offset + sizeBytes)` of what `vecs` cover, as far as they cover them.
 * @example
 * const vecs = [{ physical: addr(0x1000), sizeBytes: 4096 }, { physical: addr(0x9000), sizeBytes: 8192 }];
 * sliceOf(vecs, 4096, 4096); // [{ physical: 0x9000, sizeBytes: 4096 }]
 */
export function sliceOf(vecs: readonly PhysVec[], offset: number, sizeBytes: number): PhysVec[] {
  let at = 0;
  return vecs.flatMap((vec) => {
    const begin = Math.max(offset - at, 0);
    const end = Math.min(offset + sizeBytes - at, vec.sizeBytes);
    at += vec.sizeBytes;
    return begin < end ? [{ physical: addr<PhysAddr>(vec.physical + begin), sizeBytes: end - begin }] : [];
  });
}

/** The largest order whose naturally aligned run around `at` lies inside `[from, to)`. */
function orderInside(at: number, from: number, to: number): number {
  let order = 0;
  for (let size = PAGE_SIZE * 2; size <= to - from; size *= 2) {
    const start = at - (at % size);
    if (start < from || start + size > to) break;
    order++;
  }
  return order;
}
