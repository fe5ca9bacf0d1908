/** Bounce buffers: memory that every device reaches. What is mapped has two places then, and they are copied by hand. */
import { addr, DmaBufError, type Direction, PAGE_SIZE, type PhysAddr } from "@dma-buf/core";
import type { PhysicalMemory } from "../physical.js";

/** Bytes of a slot. */
export const SLOT_BYTES = 2048;
/** Slots that lie together, and so the most that one mapping has. */
const SEGMENT_SLOTS = 128;
/** The largest bounced mapping. */
export const BOUNCE_MAX_BYTES: number = SLOT_BYTES * SEGMENT_SLOTS;

/** A mapping that lives in slots. */
interface Bounce {
  readonly original: PhysAddr;
  readonly sizeBytes: number;
  readonly direction: Direction;
  readonly firstSlot: number;
  readonly slots: number;
}

export class Swiotlb {
  /** Where the pool lies. */
  readonly base: PhysAddr;
  readonly sizeBytes: number;
  readonly #memory: PhysicalMemory;
  readonly #taken: Uint8Array;
  readonly #bounces = new Map<number, Bounce>();

  constructor(memory: PhysicalMemory, base: PhysAddr, sizeBytes: number) {
    this.#memory = memory;
    this.base = base;
    this.sizeBytes = sizeBytes;
    this.#taken = new Uint8Array(Math.floor(sizeBytes / SLOT_BYTES));
  }

  /**
   * Takes slots, and copies the original into them, even `from-device`: a device that writes less than all of it must
   * not let old bytes of the slots through.
   * @param isPaged begin at the original's offset in its page, in pages that nobody else has: for an IOMMU to map
   * @throws DmaBufError `EINVAL` more than {@link BOUNCE_MAX_BYTES} · `ENOMEM` no slots in a row are free
   */
  map(original: PhysAddr, sizeBytes: number, direction: Direction, isPaged = false): PhysAddr {
    const into = isPaged ? original % PAGE_SIZE : 0;
    const slots = slotsFor(into + sizeBytes, isPaged);
    if (slots > SEGMENT_SLOTS)
      throw refused("EINVAL", sizeBytes, `a bounce buffer has ${BOUNCE_MAX_BYTES} bytes: map smaller pieces`);
    const firstSlot = this.#find(slots, isPaged ? PAGE_SIZE / SLOT_BYTES : 1);
    if (firstSlot === null) throw refused("ENOMEM", sizeBytes, `no ${slots} slots in a row are free: unmap something`);
    this.#taken.fill(1, firstSlot, firstSlot + slots);
    const address = addr<PhysAddr>(this.base + firstSlot * SLOT_BYTES + into);
    this.#bounces.set(address, { original, sizeBytes, direction, firstSlot, slots });
    // The device reaches the padding of its pages too, and that has what the slots held before.
    if (isPaged) this.#memory.write(this.base + firstSlot * SLOT_BYTES, new Uint8Array(slots * SLOT_BYTES));
    this.#memory.write(address, this.#memory.read(original, sizeBytes));
    return address;
  }

  /** Does a mapping in slots begin at `address`? */
  has(address: number): boolean {
    return this.#bounces.has(address);
  }

  /** Gives slots back. What the device wrote is copied first, unless `skipCpuSync`: then it is lost. */
  unmap(address: PhysAddr, skipCpuSync: boolean): void {
    const bounce = this.#bounces.get(address);
    if (!bounce) return;
    if (!skipCpuSync) this.syncForCpu(address, bounce.sizeBytes);
    this.#bounces.delete(address);
    this.#taken.fill(0, bounce.firstSlot, bounce.firstSlot + bounce.slots);
  }

  /** Slot to original, unless the device only reads. `address` may lie within the mapping, whose end limits the size. */
  syncForCpu(address: PhysAddr, sizeBytes: number): void {
    const found = this.#at(address, sizeBytes);
    if (found && found.direction !== "to-device")
      this.#memory.write(found.original, this.#memory.read(address, found.sizeBytes));
  }

  /** Original to slot, unless the device only writes. */
  syncForDevice(address: PhysAddr, sizeBytes: number): void {
    const found = this.#at(address, sizeBytes);
    if (found && found.direction !== "from-device")
      this.#memory.write(address, this.#memory.read(found.original, found.sizeBytes));
  }

  /** Slots that are taken. */
  get live(): number {
    return this.#taken.reduce((n, taken) => n + taken, 0);
  }

  /** The part of a mapping from `address` on that lies within `asked` bytes. */
  #at(address: PhysAddr, asked: number): Pick<Bounce, "original" | "sizeBytes" | "direction"> | null {
    for (const [start, { original, sizeBytes, direction }] of this.#bounces) {
      const into = address - start;
      if (into < 0 || into >= sizeBytes) continue;
      return { original: addr<PhysAddr>(original + into), sizeBytes: Math.min(asked, sizeBytes - into), direction };
    }
    return null;
  }

  /** The first run of free slots that lies within one segment. */
  #find(slots: number, align: number): number | null {
    for (let at = 0; at + slots <= this.#taken.length; at += align) {
      const fits = (at % SEGMENT_SLOTS) + slots <= SEGMENT_SLOTS;
      if (fits && this.#taken.subarray(at, at + slots).every((taken) => taken === 0)) return at;
    }
    return null;
  }
}

function slotsFor(sizeBytes: number, isPaged: boolean): number {
  const unit = isPaged ? PAGE_SIZE : SLOT_BYTES;
  return (Math.ceil(sizeBytes / unit) * unit) / SLOT_BYTES;
}

function refused(code: "EINVAL" | "ENOMEM", sizeBytes: number, why: string): DmaBufError {
  return new DmaBufError(code, {
    op: "swiotlb_tbl_map_single",
    stage: "map",
    message: `${sizeBytes} bytes do not bounce: ${why}`,
    values: { sizeBytes },
  });
}
