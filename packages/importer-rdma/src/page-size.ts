/** Which page size a memory region can have: one for all of it. */
import { PAGE_SIZE } from "@dma-buf/core";

/** Consecutive bytes that the device reaches, in the order of the region. */
export interface Extent {
  /** For the device. */
  readonly address: number;
  readonly sizeBytes: number;
}

/**
 * The largest page size of the device at which IOVA and DMA address lie at the same place of a page in every extent, and at
 * which all but the last end with a page; but none larger than the smallest that holds the region in one page. 0: there is
 * none. The first extent begins with the page of the first byte. Linux: `ib_umem_find_best_pgsz()`.
 */
export function bestPageSize(
  extents: readonly Extent[],
  { iova, sizeBytes }: { readonly iova: number; readonly sizeBytes: number },
  pageSizesLog2: readonly number[],
): number {
  const whole = log2OfSpan(iova, sizeBytes);
  let bits = Math.min(...pageSizesLog2.filter((log2) => log2 >= whole));
  let within = iova % PAGE_SIZE;
  let va = iova;
  for (const [i, extent] of extents.entries()) {
    bits = Math.min(bits, trailingZeros(Math.abs(extent.address + within - va)));
    va += extent.sizeBytes - within;
    within = 0;
    if (i < extents.length - 1) bits = Math.min(bits, trailingZeros(va));
  }
  const fitting = pageSizesLog2.filter((log2) => log2 <= bits);
  return fitting.length > 0 ? 2 ** Math.max(...fitting) : 0;
}

/** The smallest aligned block, a power of two, that has the first byte and the last. */
function log2OfSpan(iova: number, sizeBytes: number): number {
  let log2 = 0;
  while (Math.floor(iova / 2 ** log2) !== Math.floor((iova + sizeBytes - 1) / 2 ** log2)) log2++;
  return log2;
}

/** How often `value` can be halved; of 0: without end. */
function trailingZeros(value: number): number {
  if (value === 0) return Infinity;
  let zeros = 0;
  for (let rest = value; rest % 2 === 0; rest /= 2) zeros++;
  return zeros;
}
