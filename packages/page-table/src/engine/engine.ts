/** A page table's calls: what each checks, and which part of the engine does it. */
import type { PhysAddr, TableMemory } from "@dma-buf/core";
import type { Access, Format, Protection } from "../format.js";
import { LeafSizes } from "../leaf-size.js";
import type { PageTable, PageTableOptions, SweepOptions } from "../page-table.js";
import { refuse } from "../refuse.js";
import { walk, type WalkMemory, type WalkResult } from "../walk.js";
import { protectRange, sweep, type Touched } from "./change.js";
import { ENTRIES } from "./entries.js";
import { mapFewPages, unmapFewPages } from "./few-pages.js";
import { FlagsCache, type LeafFlags } from "./flags.js";
import { idleTables, type Leaf, leafAt, places } from "./inspect.js";
import { PAGE_BYTES } from "./layout.js";
import { mapRange } from "./map.js";
import { REGION_BYTES } from "./near.js";
import { lookup, mapPage, unmapPage } from "./page.js";
import { Ranges } from "./ranges.js";
import { splitLeaf } from "./split.js";
import { type TableGather, Tables } from "./tables.js";
import { releaseBelow, unmapRange } from "./unmap.js";

const PAGE_LOG2 = 12;

export class Engine implements PageTable {
  readonly format: Format;
  readonly #tables: Tables;
  readonly #sizes: LeafSizes;
  readonly #flags: FlagsCache;
  readonly #ranges: Ranges;
  /** Is a range below 2 MiB pages, and nothing but pages? */
  readonly #hasFewPages: boolean;
  readonly #memory: WalkMemory;

  constructor(format: Format, memory: TableMemory, { leafSizesLog2, onStore, onRoot }: PageTableOptions) {
    const sizesLog2 = sizesOf(format, leafSizesLog2);
    this.format = format;
    this.#tables = new Tables(format, memory, onStore, onRoot);
    this.#sizes = new LeafSizes(sizesLog2);
    this.#flags = new FlagsCache(format, sizesLog2);
    this.#ranges = new Ranges(this.#tables);
    this.#hasFewPages = this.#sizes.next(PAGE_LOG2) >= 21 && !format.codedSizeLog2;
    this.#memory = { readEntry: (at) => this.#tables.all[(at - memory.basePhys) / 8] ?? null };
  }

  get root(): PhysAddr {
    return this.#tables.rootPhys;
  }

  get levels(): number {
    return this.#tables.top + 1;
  }

  get tables(): number {
    return this.#tables.held;
  }

  get idleTables(): number {
    return idleTables(this.#tables);
  }

  map(va: number, physical: PhysAddr, sizeBytes: number, protection: Protection): void {
    const flags = this.#flags.of(protection);
    if (sizeBytes !== PAGE_BYTES || !mapPage(this.#tables, va, physical, flags))
      this.#mapAny(va, physical, sizeBytes, flags);
  }

  unmap(va: number, sizeBytes: number, gather?: TableGather): number {
    if (sizeBytes === PAGE_BYTES && unmapPage(this.#tables, va)) return PAGE_BYTES;
    return this.#unmapAny(va, sizeBytes, gather);
  }

  protect(va: number, sizeBytes: number, protection: Protection): void {
    this.#flags.of(protection);
    this.#ranges.check("protect", va, sizeBytes);
    protectRange(this.#tables, va, va + sizeBytes, protection);
  }

  split(va: number, sizeBytes: number): void {
    const sizes = this.format.leafSizesLog2;
    const sizeLog2 = Math.log2(sizeBytes);
    if (!sizes.includes(sizeLog2))
      refuse("EINVAL", "split", `${sizeBytes} bytes is no leaf size of ${this.format.id}: 2^${sizes.join(", 2^")}`, {
        sizeBytes,
      });
    splitLeaf(this.#tables, va, sizeLog2);
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
    return lookup(this.#tables, va);
  }

  *leaves(va: number = 0, sizeBytes: number = 2 ** this.format.vaBits): Generator<Leaf, void, void> {
    for (const place of places(this.#tables, va, va + sizeBytes)) yield leafAt(this.#tables, place);
  }

  destroy(): void {
    const { root, top, rootTables } = this.#tables;
    this.#ranges.checkAlive("destroy");
    releaseBelow(this.#tables, root, top, rootTables * ENTRIES);
    this.#tables.end();
  }

  /** A page whose table was not remembered is tried again: now it is. */
  #mapAny(va: number, physical: number, sizeBytes: number, flags: LeafFlags): void {
    const tables = this.#tables;
    if (sizeBytes === PAGE_BYTES && tables.seek(va) && mapPage(tables, va, physical, flags)) return;
    this.#ranges.checkMap(va, physical, sizeBytes);
    const mapping = { va, physical, sizeBytes, flags };
    if (!(this.#hasFewPages && sizeBytes < REGION_BYTES && mapFewPages(tables, mapping)))
      mapRange(tables, this.#sizes, mapping);
  }

  #unmapAny(va: number, sizeBytes: number, gather?: TableGather): number {
    const tables = this.#tables;
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
    return sweep(this.#tables, this.format[which], va, va + sizeBytes, clear);
  }
}

/** The leaf sizes to use. The largest that Linux uses is a quarter of the input addresses. */
function sizesOf(format: Format, wanted: readonly number[] = format.leafSizesLog2): readonly number[] {
  const strange = wanted.find((s) => !format.leafSizesLog2.includes(s));
  if (strange !== undefined || !wanted.includes(PAGE_LOG2))
    throw new RangeError(
      `leafSizesLog2 [${wanted.join(", ")}]: take some of ${format.id}'s ${format.leafSizesLog2.join(", ")}, with 12`,
    );
  return wanted.toSorted((a, b) => a - b).filter((s) => s < format.vaBits - 1);
}
