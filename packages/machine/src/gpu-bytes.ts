/** The bytes of a GPU's VRAM and of RAM as its own engines see them. What the BAR shows of VRAM is the machine's memory. */
import { type Op, PAGE_SIZE, type PhysAddr, point } from "@dma-buf/core";
import type { PageBlock } from "./page-pool.js";
import type { PhysicalMemory } from "./physical.js";

/** Memory of the GPU's own, or RAM; blocks are bytes of VRAM from its beginning, or CPU-physical. */
export interface GpuPlace {
  readonly domain: "vram" | "gtt";
  readonly blocks: readonly PageBlock[];
}

/** What is given up reads so. Linux clears it; a pattern tells who still reads there from who reads a new buffer. */
const POISON = Uint8Array.of(0xbe, 0xed, 0xb0, 0xd0);

export class GpuBytes {
  readonly #ram: PhysicalMemory;
  readonly #window: { readonly physical: PhysAddr; readonly sizeBytes: number } | null;
  readonly #hidden = new Map<number, Uint8Array>();

  readonly #isThere: () => boolean;

  /** `isThere`: is the GPU in its slot? */
  constructor(
    memory: PhysicalMemory,
    window: { readonly physical: PhysAddr; readonly sizeBytes: number } | null,
    isThere: () => boolean,
  ) {
    this.#ram = memory;
    this.#window = window;
    this.#isThere = isThere;
  }

  /** A page at a time, with others in between. A GPU that was pulled out copies no more. */
  *copy(from: GpuPlace, to: GpuPlace): Op<void> {
    const into = pagesOf(to);
    for (const page of pagesOf(from)) {
      yield* point("gpu.copy");
      const target = into.next();
      if (target.done) throw new RangeError("the copy's target is smaller than its source");
      if (!this.#isThere()) return;
      this.#writePage(to.domain, target.value, this.#readPage(from.domain, page));
    }
  }

  wipe(place: GpuPlace): void {
    const poison = new Uint8Array(PAGE_SIZE);
    for (let at = 0; at < PAGE_SIZE; at += POISON.length) poison.set(POISON, at);
    for (const page of pagesOf(place)) this.#writePage(place.domain, page, poison);
  }

  /** As the GPU itself reads: what is beyond the window too. */
  read(domain: GpuPlace["domain"], address: number, sizeBytes: number): Uint8Array {
    const out = new Uint8Array(sizeBytes);
    for (const { page, from, at, length } of pieces(address, sizeBytes))
      out.set(this.#readPage(domain, page).subarray(from, from + length), at);
    return out;
  }

  write(domain: GpuPlace["domain"], address: number, bytes: Uint8Array): void {
    for (const { page, from, at, length } of pieces(address, bytes.length)) {
      const whole = this.#readPage(domain, page);
      whole.set(bytes.subarray(at, at + length), from);
      this.#writePage(domain, page, whole);
    }
  }

  /** A copy of the page. */
  #readPage(domain: GpuPlace["domain"], address: number): Uint8Array {
    const physical = this.#physical(domain, address);
    if (physical !== null) return this.#ram.read(physical, PAGE_SIZE);
    return this.#hidden.get(address)?.slice() ?? new Uint8Array(PAGE_SIZE);
  }

  #writePage(domain: GpuPlace["domain"], address: number, page: Uint8Array): void {
    const physical = this.#physical(domain, address);
    if (physical === null) this.#hidden.set(address, page.slice());
    else this.#ram.write(physical, page);
  }

  /** `null`: no CPU has a number for it. */
  #physical(domain: GpuPlace["domain"], address: number): number | null {
    if (domain === "gtt") return address;
    return this.#window && address < this.#window.sizeBytes ? this.#window.physical + address : null;
  }
}

function* pagesOf({ blocks }: GpuPlace): Generator<number, void, void> {
  for (const { start, sizeBytes } of blocks) for (let at = start; at < start + sizeBytes; at += PAGE_SIZE) yield at;
}

/** The parts of `[address, address + sizeBytes)` page by page: from where in the page, and at what offset. */
function* pieces(
  address: number,
  sizeBytes: number,
): Generator<{ readonly page: number; readonly from: number; readonly at: number; readonly length: number }> {
  for (let at = 0; at < sizeBytes; ) {
    const from = (address + at) % PAGE_SIZE;
    const length = Math.min(PAGE_SIZE - from, sizeBytes - at);
    yield { page: address + at - from, from, at, length };
    at += length;
  }
}
