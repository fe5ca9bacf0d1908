/** The first half of MAP_FILE: a backing of a dma-buf, attached and not yet asked where it lies. Linux: `iopt_alloc_dmabuf_pages()`. */
import { type Op, PAGE_SIZE } from "@dma-buf/core";
import { type BufferPath, checkEnd, refused } from "./buffer-path.js";
import { DmaBufPages } from "./dma-buf-pages.js";
import type { BufferRange, World } from "./world.js";

/** Attaches. @throws DmaBufError at stage `map`: `EINVAL` beyond the buffer, or 2^44 bytes and more; at `attach`: the exporter's */
export function* attachBuffer(world: World, path: BufferPath, range: BufferRange): Op<DmaBufPages> {
  if (!path.endStage) checkEnd(range, "map");
  checkLength(range.length);
  const pages = new DmaBufPages(world, path, range);
  let done = false;
  try {
    yield* pages.attach();
    done = true;
    return pages;
  } finally {
    if (!done) yield* pages.put();
  }
}

/** A backing counts its pages in 32 bits. */
const PAGES_END = 2n ** 32n - 1n;

function checkLength(length: bigint): void {
  if (length / BigInt(PAGE_SIZE) >= PAGES_END)
    throw refused("EINVAL", `${length} bytes are more than 2^32 - 2 pages: map less at once`);
}
