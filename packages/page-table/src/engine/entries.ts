/** The entries of a pool of tables, each known by its number: what is read from them, and how they are written. */
import type { PhysAddr, TableMemory } from "@dma-buf/core";
import { entryLog2, type Format, isCodedSize } from "../format.js";
import { refuse } from "../refuse.js";
import { type Layout, layoutOf, PAGE_BYTES, POWER, WORD } from "./layout.js";
import { LeafWriter, type Views } from "./leaf-writer.js";

/** Entries of a table. An entry is known by its number in the pool, a table by that of its first entry / 512. */
export const ENTRIES = 512;

/** Sees each entry that is written: where, and what, all 64 bits. */
export type OnStore = (entryPhys: PhysAddr, entry: bigint) => void;

export class Entries implements Views {
  readonly format: Format;
  readonly layout: Layout;
  readonly words: Int32Array;
  readonly doubles: Float64Array;
  /** The same bytes once more, for what is cold. */
  readonly all: BigUint64Array;
  readonly writer: LeafWriter;
  readonly basePhys: PhysAddr;
  /** Does somebody want to see each entry that is written? */
  readonly isWatched: boolean;
  readonly #onStore: OnStore | undefined;

  constructor(format: Format, { words, doubles, basePhys }: TableMemory, onStore?: OnStore) {
    this.format = format;
    this.layout = layoutOf(format);
    this.words = words;
    this.doubles = doubles;
    this.all = new BigUint64Array(words.buffer, words.byteOffset, words.length / 2);
    this.writer = new LeafWriter(this);
    this.basePhys = basePhys;
    this.isWatched = onStore !== undefined;
    this.#onStore = onStore;
  }

  /** The CPU-physical address of a table. */
  physOf(table: number): PhysAddr {
    return (this.basePhys + table * PAGE_BYTES) as PhysAddr;
  }

  isPresent(entry: number): boolean {
    const { presentLo, presentHi } = this.layout;
    return (
      (((this.words[2 * entry] as number) & presentLo) | ((this.words[2 * entry + 1] as number) & presentHi)) !== 0
    );
  }

  /** How many of these entries, from the first on, are present. */
  countPresent(entry: number, entries: number): number {
    let n = 0;
    while (n < entries && this.isPresent(entry + n)) n++;
    return n;
  }

  /** How many of these entries, from the first on, are empty: four are looked at in one turn. */
  countEmpty(entry: number, entries: number): number {
    const { words } = this;
    const { presentLo, presentHi } = this.layout;
    let n = 0;
    for (let at = 2 * entry; n + 4 <= entries; n += 4, at += 8) {
      const lo =
        (words[at] as number) | (words[at + 2] as number) | (words[at + 4] as number) | (words[at + 6] as number);
      const hi =
        (words[at + 1] as number) | (words[at + 3] as number) | (words[at + 5] as number) | (words[at + 7] as number);
      if (((lo & presentLo) | (hi & presentHi)) !== 0) break;
    }
    while (n < entries && !this.isPresent(entry + n)) n++;
    return n;
  }

  /** Of a present entry: does it lead to a table? */
  isTable(entry: number, level: number): boolean {
    const { markHalf, tableMask, tableValue } = this.layout;
    const word = this.words[2 * entry + markHalf] as number;
    return level > 0 && (word & (tableMask[level] as number)) === tableValue[level];
  }

  /** log2 of the size of a leaf. @throws DmaBufError `EIO` for a code that is no size of its level */
  leafLog2(entry: number, level: number): number {
    const coded = this.layout.coded?.(this.words[2 * entry] as number, this.words[2 * entry + 1] as number) ?? 0;
    if (coded === 0) return entryLog2(level);
    if (!isCodedSize(coded, level))
      refuse("EIO", "walk", `entry 0x${this.all[entry]?.toString(16)} at level ${level} codes 2^${coded} bytes`, {
        entry,
      });
    return coded;
  }

  /** The address field of an entry, in pages. */
  frameOf(entry: number): number {
    const { shift, pfnHiMask } = this.layout;
    const lo = this.words[2 * entry] as number;
    const hi = this.words[2 * entry + 1] as number;
    return ((hi >>> shift) & pfnHiMask) * WORD + (((lo >>> shift) | (hi << (32 - shift))) >>> 0);
  }

  /** The output address of a leaf of that size. */
  outputOf(entry: number, sizeLog2: number): number {
    const pages = POWER[sizeLog2 - 12] as number;
    return Math.floor(this.frameOf(entry) / pages) * pages * PAGE_BYTES;
  }

  /** Writes one entry: flags in halves, and an address. Counts are the caller's. */
  store(entry: number, lo: number, hi: number, physical: number): void {
    const address = physical * this.layout.scale;
    this.words[2 * entry] = lo | address;
    this.words[2 * entry + 1] = hi | (address / WORD);
    this.stored(entry, 1);
  }

  /** Tells of entries that a loop wrote. */
  stored(entry: number, entries: number): void {
    if (!this.#onStore) return;
    for (let i = entry; i < entry + entries; i++)
      this.#onStore((this.basePhys + i * 8) as PhysAddr, this.all[i] as bigint);
  }
}
