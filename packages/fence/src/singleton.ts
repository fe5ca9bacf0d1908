/** One fence for a reservation. */
import type { DmaFence, DmaResv, Usage } from "@dma-buf/core";
import { createFenceArray } from "./array.js";
import { fenceRows } from "./rows.js";

/**
 * One fence for all unsignalled ones of `usage` or stronger, with a reference: `null` for none, the fence itself for
 * one, an array for more. With or without the lock. Linux: `dma_resv_get_singleton()`. @throws DmaBufError `ENOMEM`
 * @example
 * const before = getSingleton(buf.resv, usageRw(true));
 */
export function getSingleton(resv: DmaResv, usage: Usage): DmaFence | null {
  const fences = resv.getFences(usage);
  if (fences.length <= 1) return fences[0] ?? null;
  try {
    resv.env.alloc(fenceRows.getSingleton);
  } catch (error) {
    for (const fence of fences) fence.put();
    throw error;
  }
  return createFenceArray(resv.env, fences);
}
