/** Mappings are whole pages: what the kernel's callers say in bytes is widened, and the offset in the page is kept. */
import { type Direction, PAGE_SIZE } from "@dma-buf/core";
import type { Protection } from "@dma-buf/page-table";

/** The whole pages that hold a range. */
export function pagesOf(address: number, sizeBytes: number): { readonly address: number; readonly sizeBytes: number } {
  const first = address - (address % PAGE_SIZE);
  return { address: first, sizeBytes: Math.ceil((address + sizeBytes - first) / PAGE_SIZE) * PAGE_SIZE };
}

/** Does a range share no page with other data? */
export function isWholePages(address: number, sizeBytes: number): boolean {
  return address % PAGE_SIZE === 0 && sizeBytes % PAGE_SIZE === 0;
}

/** What a direction lets the device do. */
export function protectionOf(direction: Direction): Protection {
  return { read: direction !== "from-device", write: direction !== "to-device" };
}
