/** The page frames that memory files are made of: a part of RAM, handed out frame by frame or as huge pages. */
import { addr, DmaBufError, hex, PAGE_SIZE, type PhysAddr } from "@dma-buf/core";
import type { PhysicalMemory, RamRange } from "./physical.js";

/** What a freed frame is filled with, so that whoever still reads it can be told from its new owner. Linux: `PAGE_POISON`. */
export const POISON_BYTE = 0xaa;

/** The largest page that is filled when it is freed: of larger ones only the few bytes that were touched are kept at all. */
const POISONED_BYTES_MAX = 2 * 2 ** 20;

/** Of a frame; 0: nobody ever had it, and it reads as zero. */
const TAKEN = 1;
const USED = 2;

/** Frames of one range. Base pages are scattered: no two neighbours are handed out before half of the range is. */
export class FramePool {
  readonly #memory: PhysicalMemory;
  readonly #base: number;
  readonly #frames: number;
  /** As far as frames were ever handed out: a range may have millions, and most machines use ten. */
  #state = new Uint8Array(64);
  #live = 0;

  /** @throws RangeError for a range that does not begin with a page */
  constructor(memory: PhysicalMemory, { base, sizeBytes }: RamRange) {
    if (base % PAGE_SIZE !== 0)
      throw new RangeError(`frames from ${hex(base)} on: begin at a multiple of ${PAGE_SIZE}`);
    this.#memory = memory;
    this.#base = base;
    this.#frames = Math.floor(sizeBytes / PAGE_SIZE);
  }

  /** Frames that are out, in base pages. */
  get live(): number {
    return this.#live;
  }

  /** A page of zeros, aligned to its size, a power of two of at least a base page. @throws DmaBufError `ENOMEM` */
  alloc(sizeBytes: number): PhysAddr {
    const frames = sizeBytes / PAGE_SIZE;
    for (const first of frames === 1 ? this.#scattered() : this.#aligned(sizeBytes))
      if (this.#isFree(first, frames)) return this.#take(first, frames);
    throw new DmaBufError("ENOMEM", {
      op: "memfd_alloc_folio",
      stage: "export",
      message: `no ${sizeBytes} aligned bytes of RAM are free: close a memory file`,
      values: { sizeBytes, framesOut: this.#live },
    });
  }

  /** Gives a page back and fills it with {@link POISON_BYTE}. */
  free(page: PhysAddr, sizeBytes: number): void {
    const first = (page - this.#base) / PAGE_SIZE;
    const frames = sizeBytes / PAGE_SIZE;
    this.#state.fill(USED, first, first + frames);
    this.#live -= frames;
    if (sizeBytes <= POISONED_BYTES_MAX) this.#memory.write(page, new Uint8Array(sizeBytes).fill(POISON_BYTE));
  }

  #take(first: number, frames: number): PhysAddr {
    this.#reach(first + frames);
    for (let frame = first; frame < first + frames; frame++) {
      // Who had it before must not be read by who has it now.
      if (this.#state[frame] === USED) this.#memory.write(this.#at(frame), new Uint8Array(PAGE_SIZE));
      this.#state[frame] = TAKEN;
    }
    this.#live += frames;
    return this.#at(first);
  }

  #reach(end: number): void {
    if (end <= this.#state.length) return;
    const larger = new Uint8Array(Math.max(end, 2 * this.#state.length));
    larger.set(this.#state);
    this.#state = larger;
  }

  #isFree(first: number, frames: number): boolean {
    return first + frames <= this.#frames && !this.#state.subarray(first, first + frames).includes(TAKEN);
  }

  *#scattered(): Generator<number> {
    for (const odd of [0, 1]) for (let frame = odd; frame < this.#frames; frame += 2) yield frame;
  }

  *#aligned(sizeBytes: number): Generator<number> {
    const start = Math.ceil(this.#base / sizeBytes) * sizeBytes;
    const frames = sizeBytes / PAGE_SIZE;
    for (let frame = (start - this.#base) / PAGE_SIZE; frame < this.#frames; frame += frames) yield frame;
  }

  #at(frame: number): PhysAddr {
    return addr<PhysAddr>(this.#base + frame * PAGE_SIZE);
  }
}
