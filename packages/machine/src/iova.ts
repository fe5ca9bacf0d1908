/** IOVAs of one domain: handed out ascending, taken back exactly. */
import { DmaBufError, hex, type Iova, addr, PAGE_SIZE } from "@dma-buf/core";

/** The kernel puts device mappings below 4 GiB first; starting above the interrupt window keeps clear of it. */
const FIRST = 0x1_0000_0000;
const LAST = 2 ** 39 - 1;

export class IovaAllocator {
  readonly #live = new Map<number, number>();
  #next = FIRST;

  /** @throws DmaBufError `ENOMEM` when the aperture is used up. */
  alloc(sizeBytes: number): Iova {
    const size = Math.ceil(sizeBytes / PAGE_SIZE) * PAGE_SIZE;
    // Natural alignment up to 1 GiB lets the table use its largest leaves, as the kernel's allocator does.
    const align = Math.min(2 ** Math.ceil(Math.log2(size)), 2 ** 30);
    const at = Math.ceil(this.#next / align) * align;
    if (at + size - 1 > LAST)
      throw new DmaBufError("ENOMEM", {
        op: "dma_map_phys",
        stage: "map",
        message: `no IOVA of ${size} bytes is left below ${hex(LAST)}: unmap something`,
      });
    this.#next = at + size;
    this.#live.set(at, size);
    return addr<Iova>(at);
  }

  free(iova: Iova): number {
    const size = this.#live.get(iova);
    if (size === undefined) throw new RangeError(`IOVA ${hex(iova)} is not allocated`);
    this.#live.delete(iova);
    return size;
  }

  /** Ranges handed out and not taken back. */
  get live(): number {
    return this.#live.size;
  }
}
