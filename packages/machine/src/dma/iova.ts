/** IOVAs of one domain: from the top down, below 4 GiB as long as there is room, never where something is reserved. */
import { addr, DmaBufError, hex, type Iova, PAGE_SIZE } from "@dma-buf/core";
import type { ReservedRegion } from "./reserved.js";

/** What a domain can hand out. */
export interface IovaLimits {
  /** The highest address that device and table reach: the smaller of DMA mask and aperture. */
  readonly last: number;
  readonly reserved: readonly Pick<ReservedRegion, "base" | "sizeBytes">[];
}

/** `end` is open. */
interface Range {
  readonly base: number;
  readonly end: number;
}

const BELOW_4_GIB = 0xffff_ffff;

export class IovaAllocator {
  readonly #last: number;
  /** Taken or reserved, the highest first. Reserved ones may overlap each other, but nothing that is taken. */
  readonly #busy: Range[];
  readonly #live = new Map<number, Range>();
  #isLowFull = false;

  constructor({ last, reserved }: IovaLimits) {
    this.#last = last;
    // IOVA 0 looks like a pointer that nobody set, and is not handed out.
    const ranges = [{ base: 0, sizeBytes: PAGE_SIZE }, ...reserved];
    this.#busy = ranges.map((r) => ({ base: r.base, end: r.base + r.sizeBytes })).toSorted((a, b) => b.end - a.end);
  }

  /**
   * A range of whole pages, aligned to the power of two that holds it, so that the largest leaves fit.
   * @throws DmaBufError `ENOMEM` none is left below the limit.
   */
  alloc(sizeBytes: number): Iova {
    const size = Math.ceil(sizeBytes / PAGE_SIZE) * PAGE_SIZE;
    const base = this.#low(size) ?? this.#find(size, this.#last);
    if (base === null)
      throw new DmaBufError("ENOMEM", {
        op: "dma_map_phys",
        stage: "map",
        message: `no IOVA of ${size} bytes is left up to ${hex(this.#last)}: unmap something, or flush what is queued`,
        values: { sizeBytes: size, last: this.#last },
      });
    const range = { base, end: base + size };
    this.#busy.splice(this.#placeOf(range.end), 0, range);
    this.#live.set(base, range);
    return addr<Iova>(base);
  }

  /** @throws RangeError it was not handed out. */
  free(iova: Iova): void {
    const range = this.#live.get(iova);
    if (!range) throw new RangeError(`IOVA ${hex(iova)} is not allocated: free what alloc() returned, once`);
    this.#live.delete(iova);
    this.#busy.splice(this.#busy.indexOf(range), 1);
  }

  /** Ranges handed out and not taken back. */
  get live(): number {
    return this.#live.size;
  }

  /** Devices' drivers are tried below 4 GiB first; once that failed, the kernel does not try again. */
  #low(size: number): number | null {
    if (this.#isLowFull || this.#last <= BELOW_4_GIB) return null;
    const base = this.#find(size, BELOW_4_GIB);
    this.#isLowFull = base === null;
    return base;
  }

  /** The highest free place that ends at `last` or before. */
  #find(size: number, last: number): number | null {
    const align = 2 ** Math.ceil(Math.log2(size));
    let base = downTo(last + 1 - size, align);
    for (const busy of this.#busy) {
      if (busy.end <= base) break;
      if (busy.base < base + size) base = downTo(busy.base - size, align);
    }
    return base >= 0 ? base : null;
  }

  /** Where a range with this end stands among those that are sorted by it. */
  #placeOf(end: number): number {
    const at = this.#busy.findIndex((r) => r.end < end);
    return at < 0 ? this.#busy.length : at;
  }
}

function downTo(address: number, align: number): number {
  return Math.floor(address / align) * align;
}
