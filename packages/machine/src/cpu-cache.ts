/**
 * The caches of the CPUs in front of memory, on a machine whose devices do not look into them: what a sync of the DMA API is
 * there for. A platform model, unverified: write-back, nothing is evicted by itself.
 */
import type { PhysAddr } from "@dma-buf/core";

/** What lies behind the caches. */
interface Behind {
  read(physical: PhysAddr, sizeBytes: number): Uint8Array;
  write(physical: PhysAddr, bytes: Uint8Array): void;
}

interface Line {
  readonly bytes: Uint8Array;
  isDirty: boolean;
}

/** Bytes. */
const LINE = 64;

/**
 * @example
 * const cache = new CpuCache(machine.memory);
 * cache.write(page, new Uint8Array([1])); // memory does not have it yet
 * cache.clean(page, 1); // Linux: arch_sync_dma_for_device()
 */
export class CpuCache {
  readonly #behind: Behind;
  readonly #lines = new Map<number, Line>();

  constructor(behind: Behind) {
    this.#behind = behind;
  }

  /** As a CPU loads: lines that are cached answer, others are fetched and kept. */
  read(physical: PhysAddr, sizeBytes: number): Uint8Array {
    return Uint8Array.from({ length: sizeBytes }, (_, i) => {
      const at = physical + i;
      return this.#line(at).bytes[at % LINE] as number;
    });
  }

  /** As a CPU stores: into lines, which are written back when they are cleaned. */
  write(physical: PhysAddr, bytes: Uint8Array): void {
    bytes.forEach((byte, i) => {
      const line = this.#line(physical + i);
      line.bytes[(physical + i) % LINE] = byte;
      line.isDirty = true;
    });
  }

  /** Writes back what is dirty, and keeps it. Linux: `arch_sync_dma_for_device()`. */
  clean(physical: number, sizeBytes: number): void {
    for (const [base, line] of this.#within(physical, sizeBytes)) this.#writeBack(base, line);
  }

  /** Writes back what is dirty, and forgets: the next load fetches. Linux: `arch_sync_dma_for_cpu()`. */
  invalidate(physical: number, sizeBytes: number): void {
    for (const [base, line] of this.#within(physical, sizeBytes)) {
      this.#writeBack(base, line);
      this.#lines.delete(base);
    }
  }

  /** What a device's read that snoops finds: dirty lines come before memory. */
  snoop(physical: PhysAddr, sizeBytes: number): Uint8Array {
    const bytes = this.#behind.read(physical, sizeBytes);
    for (const [base, line] of this.#within(physical, sizeBytes))
      for (let i = 0; i < LINE; i++) {
        const at = base + i - physical;
        if (line.isDirty && at >= 0 && at < sizeBytes) bytes[at] = line.bytes[i] as number;
      }
    return bytes;
  }

  #line(at: number): Line {
    const base = at - (at % LINE);
    const known = this.#lines.get(base);
    if (known) return known;
    const line = { bytes: this.#behind.read(base as PhysAddr, LINE), isDirty: false };
    this.#lines.set(base, line);
    return line;
  }

  #within(physical: number, sizeBytes: number): readonly (readonly [number, Line])[] {
    return [...this.#lines].filter(([base]) => base + LINE > physical && base < physical + sizeBytes);
  }

  #writeBack(base: number, line: Line): void {
    if (line.isDirty) this.#behind.write(base as PhysAddr, line.bytes);
    line.isDirty = false;
  }
}
