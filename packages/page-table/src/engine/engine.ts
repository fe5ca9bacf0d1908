/** A page table's calls: what each checks, and which part of the engine does it. */
import type { PhysAddr, TableMemory } from "@dma-buf/core";
import type { Access, Format, Protection } from "../format.js";
import type { LeafSizes } from "../leaf-size.js";
import type { PageTable, PageTableOptions, SweepOptions } from "../page-table.js";
import { refuse } from "../refuse.js";
import { walk, type WalkMemory, type WalkResult } from "../walk.js";
import { protectRange, sweep, type Touched } from "./change.js";
import { mapFewPages, unmapFewPages } from "./few-pages.js";
import type { FlagsCache, LeafFlags } from "./flags.js";
import { idleTables, type Leaf, leafAt, places } from "./inspect.js";
import { PAGE_BYTES } from "./layout.js";
import { leavesOf } from "./leaves.js";
import { mapRange } from "./map.js";
import { makeRoom } from "./overmap.js";
import { REGION_BYTES } from "./near.js";
import { lookup, mapPage, unmapPage } from "./page.js";
import { Ranges } from "./ranges.js";
import { splitLeaf } from "./split.js";
import { type TableGather, Tables } from "./tables.js";
import { unmapRange } from "./unmap.js";

const PAGE_LOG2 = 12;

export class Engine implements PageTable {
  readonly format: Format;
  /** For the tests of this package. */
  readonly inner: Tables;
  /** The leaf sizes to use, ascending, and what chooses among them. */
  readonly #sizesLog2: readonly number[];
  readonly #sizes: LeafSizes;
  readonly #flags: FlagsCache;
  readonly #ranges: Ranges;
  /** Is a range below 2 MiB pages, and nothing but pages? */
  readonly #hasFewPages: boolean;
  readonly #replacesTables: boolean;
  readonly #memory: WalkMemory;

  constructor(format: Format, memory: TableMemory, { leafSizesLog2, onStore, onRoot, overmap }: PageTableOptions) {
    const { sizesLog2, sizes, flags } = leavesOf(format, leafSizesLog2);
    this.format = format;
    this.#sizesLog2 = sizesLog2;
    this.inner = new Tables(format, memory, onStore, onRoot);
    this.#sizes = sizes;
    this.#replacesTables = overmap === "replace-table";
    this.#flags = flags;
    this.#ranges = new Ranges(this.inner);
    this.#hasFewPages = this.#sizes.next(PAGE_LOG2) >= 21 && !format.codedSizeLog2;
    const { all } = this.inner;
    // Once it is destroyed, its memory is somebody else's.
    this.#memory = { readEntry: (at) => (this.tables === 0 ? null : (all[(at - memory.basePhys) / 8] ?? null)) };
  }

  get root(): PhysAddr {
    return this.inner.rootPhys;
  }

  get levels(): number {
    return this.inner.top + 1;
  }

  get tables(): number {
    return this.inner.held;
  }

  get idleTables(): number {
    return idleTables(this.inner);
  }

  map(va: number, physical: PhysAddr, sizeBytes: number, protection: Protection): void {
    const flags = this.#flags.of(protection);
    if (sizeBytes !== PAGE_BYTES || !mapPage(this.inner, va, physical, flags))
      this.#mapAny(va, physical, sizeBytes, flags);
  }

  unmap(va: number, sizeBytes: number, gather?: TableGather): number {
    if (sizeBytes === PAGE_BYTES && unmapPage(this.inner, va)) return PAGE_BYTES;
    return this.#unmapAny(va, sizeBytes, gather);
  }

  protect(va: number, sizeBytes: number, protection: Protection): void {
    this.#flags.of(protection);
    this.#ranges.check("protect", va, sizeBytes);
    protectRange(this.inner, va, va + sizeBytes, protection);
  }

  split(va: number, sizeBytes: number): void {
    const sizeLog2 = Math.log2(sizeBytes);
    this.#ranges.checkByte("split", va);
    if (!this.#sizesLog2.includes(sizeLog2))
      refuse("EINVAL", "split", `${sizeBytes} bytes is none of the leaf sizes 2^${this.#sizesLog2.join(", 2^")}`, {
        sizeBytes,
      });
    splitLeaf(this.inner, this.#sizesLog2, va, sizeLog2);
  }

  readAndClearDirty(va: number, sizeBytes: number, { clear = true }: SweepOptions = {}): Touched[] {
    return this.#sweep("dirty", va, sizeBytes, clear);
  }

  readAndClearAccessed(va: number, sizeBytes: number, { clear = true }: SweepOptions = {}): Touched[] {
    return this.#sweep("accessed", va, sizeBytes, clear);
  }

  translate(va: number, access: Access): WalkResult {
    return walk(this.format, this.#memory, this, va, access);
  }

  lookup(va: number): number {
    return lookup(this.inner, va);
  }

  *leaves(va: number = 0, sizeBytes: number = 2 ** this.format.vaBits): Generator<Leaf, void, void> {
    for (const place of places(this.inner, va, va + sizeBytes)) yield leafAt(this.inner, place);
  }

  destroy(): void {
    this.#ranges.checkAlive("destroy");
    this.inner.end();
  }

  /** A page whose table was not remembered is tried again: now it is. */
  #mapAny(va: number, physical: number, sizeBytes: number, flags: LeafFlags): void {
    const tables = this.inner;
    if (sizeBytes === PAGE_BYTES && tables.seek(va) && mapPage(tables, va, physical, flags)) return;
    this.#ranges.checkMap(va, physical, sizeBytes);
    const mapping = { va, physical, sizeBytes, flags };
    if (this.#replacesTables) makeRoom(tables, this.#sizes, mapping);
    if (!(this.#hasFewPages && sizeBytes < REGION_BYTES && mapFewPages(tables, mapping)))
      mapRange(tables, this.#sizes, mapping);
  }

  #unmapAny(va: number, sizeBytes: number, gather?: TableGather): number {
    const tables = this.inner;
    if (sizeBytes === PAGE_BYTES && tables.seek(va) && unmapPage(tables, va)) return PAGE_BYTES;
    this.#ranges.check("unmap", va, sizeBytes);
    const pages = this.#hasFewPages && sizeBytes < REGION_BYTES ? unmapFewPages(tables, va, sizeBytes) : -1;
    if (pages >= 0) return pages * PAGE_BYTES;
    return unmapRange(tables, va, va + sizeBytes, gather) - va;
  }

  #sweep(which: "accessed" | "dirty", va: number, sizeBytes: number, clear: boolean): Touched[] {
    const op = `read_and_clear_${which}`;
    if (this.format[which] === 0n)
      refuse("EOPNOTSUPP", op, `hardware keeps no ${which} bit in ${this.format.id}`, { format: this.format.id });
    this.#ranges.check(op, va, sizeBytes);
    return sweep(this.inner, this.format[which], va, va + sizeBytes, clear);
  }
}
