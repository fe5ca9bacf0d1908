/** A translation table of one memory region: by page of its IOVA, where the device finds it. */
import { addr, type DmaAddr } from "@dma-buf/core";
import type { Extent } from "./page-size.js";

/** Bits of an entry that mlx5 has there: the address is page aligned. Without them there is no translation. */
const PRESENT = 0b11;

/** Where an IOVA leads. */
export interface Looked {
  readonly address: DmaAddr;
  /** To the end of the page. */
  readonly leftBytes: number;
}

/** Entries as hardware has them, 64 bits each: an address, and in its low bits whether it may be read and written. */
export class TranslationTable {
  readonly pageBytes: number;
  /** The IOVA of the first entry. */
  readonly base: number;
  readonly entries: Float64Array;

  constructor(iova: number, sizeBytes: number, pageBytes: number) {
    this.pageBytes = pageBytes;
    this.base = iova - (iova % pageBytes);
    this.entries = new Float64Array(Math.ceil((iova + sizeBytes - this.base) / pageBytes));
  }

  /** A table of the same shape, with nothing in it: what the device has cached. */
  like(): TranslationTable {
    return new TranslationTable(this.base, this.entries.length * this.pageBytes, this.pageBytes);
  }

  /** Writes entries for `extents`, which lie one behind the other from `iova` on, and agree with it in the page size. */
  fill(extents: readonly Extent[], iova: number): void {
    let at = iova;
    for (const { address, sizeBytes } of extents) {
      for (let va = at - (at % this.pageBytes); va < at + sizeBytes; va += this.pageBytes) {
        const index = (va - this.base) / this.pageBytes;
        if (index < this.entries.length) this.entries[index] = address + (va - at) + PRESENT;
      }
      at += sizeBytes;
    }
  }

  /** `null`: no entry, or the IOVA is not of this table. */
  look(iova: number): Looked | null {
    const index = Math.floor((iova - this.base) / this.pageBytes);
    const entry = this.entries[index];
    if (!entry) return null;
    const within = (iova - this.base) % this.pageBytes;
    return { address: addr<DmaAddr>(entry - PRESENT + within), leftBytes: this.pageBytes - within };
  }

  /** Takes one entry over from another table of the same shape. */
  copy(from: TranslationTable, iova: number): void {
    const index = Math.floor((iova - this.base) / this.pageBytes);
    this.entries[index] = from.entries[index] as number;
  }

  zap(): void {
    this.entries.fill(0);
  }
}
