/** CPU-physical memory: RAM and the bytes behind BARs, kept sparsely. Page-table memory is a part of RAM. */
import type { PhysAddr, TableMemory } from "@dma-buf/core";

const CHUNK = 4096;

/** Where a physical address leads. */
export type PhysTarget = "ram" | "mmio" | "nothing";

/** A range of RAM. */
export interface RamRange {
  readonly base: PhysAddr;
  readonly sizeBytes: number;
}

/** Bytes by physical address. Untouched bytes read as zero. No lock, no order: what hardware does is up to callers. */
export class PhysicalMemory {
  readonly ram: readonly RamRange[];
  readonly tables: TableMemory;
  readonly #entries: DataView;
  readonly #tableBytes: Uint8Array;
  readonly #chunks = new Map<number, Uint8Array>();

  constructor(ram: readonly RamRange[], tables: TableMemory) {
    this.ram = ram;
    this.tables = tables;
    const { buffer, byteOffset, byteLength } = tables.words;
    this.#entries = new DataView(buffer, byteOffset, byteLength);
    this.#tableBytes = new Uint8Array(buffer, byteOffset, byteLength);
  }

  isRam(address: number): boolean {
    return this.ram.some((r) => r.base <= address && address < r.base + r.sizeBytes);
  }

  read(address: number, sizeBytes: number): Uint8Array {
    const out = new Uint8Array(sizeBytes);
    this.#each(address, sizeBytes, (chunk, from, at, length) => out.set(chunk.subarray(from, from + length), at));
    return out;
  }

  write(address: number, bytes: Uint8Array): void {
    this.#each(address, bytes.length, (chunk, from, at, length) => chunk.set(bytes.subarray(at, at + length), from));
  }

  /** One 64-bit page-table entry, as a hardware walker reads it; `null` where there is no page-table memory. */
  readEntry(address: PhysAddr): bigint | null {
    const at = address - this.tables.basePhys;
    return at >= 0 && at < this.tables.sizeBytes ? this.#entries.getBigUint64(at, true) : null;
  }

  #each(
    address: number,
    sizeBytes: number,
    visit: (chunk: Uint8Array, from: number, at: number, length: number) => void,
  ): void {
    for (let at = 0; at < sizeBytes; ) {
      const index = Math.floor((address + at) / CHUNK);
      const from = (address + at) % CHUNK;
      const length = Math.min(CHUNK - from, sizeBytes - at);
      visit(this.#chunk(index), from, at, length);
      at += length;
    }
  }

  #chunk(index: number): Uint8Array {
    let chunk = this.#chunks.get(index);
    if (!chunk) this.#chunks.set(index, (chunk = this.#newChunk(index * CHUNK)));
    return chunk;
  }

  /** Page-table memory is one memory with its entries: who writes there by DMA writes what the walkers read. */
  #newChunk(base: number): Uint8Array {
    const at = base - this.tables.basePhys;
    const isTable = at >= 0 && at < this.tables.sizeBytes;
    return isTable ? this.#tableBytes.subarray(at, at + CHUNK) : new Uint8Array(CHUNK);
  }
}
