/** A page table over one format, in memory that hardware walks. */
import { hex, type PhysAddr, type TableMemory } from "@dma-buf/core";
import { protectRange, sweep, type Touched } from "./engine/change.js";
import { FlagsCache, type LeafFlags } from "./engine/flags.js";
import { idleTables, type Leaf, leafAt, places } from "./engine/inspect.js";
import { PAGE_BYTES } from "./engine/layout.js";
import { mapRange } from "./engine/map.js";
import { lookup, mapPage, unmapPage } from "./engine/page.js";
import { splitLeaf } from "./engine/split.js";
import { ENTRIES, type OnStore } from "./engine/entries.js";
import { type OnRoot, type TableGather, Tables } from "./engine/tables.js";
import { releaseBelow, unmapRange } from "./engine/unmap.js";
import type { Access, Format, Protection } from "./format.js";
import { LeafSizes } from "./leaf-size.js";
import { refuse } from "./refuse.js";
import { walk, type WalkResult, type WalkRoot } from "./walk.js";

/** How a page table is made. */
export interface PageTableOptions {
  /** The leaf sizes to use, log2, a subset of the format's with the smallest in it. @defaultValue all of them */
  readonly leafSizesLog2?: readonly number[];
  /** Called for every entry that is written, after it was. Slows everything down. */
  readonly onStore?: OnStore;
  /** Called when the root moved, with where it is now: AMD's grows. Linux: `change_top` of the driver. */
  readonly onRoot?: OnRoot;
}

/**
 * A page table. Addresses and sizes are bytes. Not safe against concurrent writers: its owner holds a lock; hardware may
 * walk at any time and sees leaves appear and vanish one by one. Nothing here flushes a TLB: an entry that was cleared or
 * changed is in force when its owner has seen to that.
 *
 * Every call refuses with a {@link DmaBufError} and leaves everything as it was, unless it says otherwise. `EIO` says that
 * somebody else wrote into the table's memory: an entry leads to no table of this page table.
 */
export interface PageTable extends WalkRoot {
  readonly format: Format;
  /** The root's address. Moves when the table grows. */
  readonly root: PhysAddr;
  readonly levels: number;
  /** Table pages held, the root's included. */
  readonly tables: number;
  /** Of those, the ones below the root that lead to no leaf: {@link unmap} keeps them, as Linux does. */
  readonly idleTables: number;
  /**
   * Maps `[va, va + sizeBytes)` to consecutive physical bytes, each leaf as large as alignment and length allow. Tables
   * that lead to no leaf give way to larger leaves.
   * @throws DmaBufError in this order: `EINVAL` neither readable nor writable, or nothing the format can say ·
   * `ERANGE` the first physical byte is beyond the format · `EINVAL` empty · `EOVERFLOW` the range wraps · `ENXIO` not page
   * aligned · `ERANGE` beyond the format's widths · `EADDRINUSE` something is mapped there · `ENOMEM` no table left; idle
   * tables may be gone then. Linux looks at the first physical byte only and leaves lengths to its callers.
   */
  map(va: number, physical: PhysAddr, sizeBytes: number, protection: Protection): void;
  /**
   * Unmaps leaves from `va` on, up to the first hole. A leaf that begins before `va` stops it; one that ends after the
   * range goes whole. Tables that the range covers whole are given back, or noted in `gather`: then they are out of the
   * page table, zero, and to be given back with `memory.freeTable` when nobody can have cached a way to them.
   * @returns bytes unmapped, which may be fewer or more than asked
   * @throws DmaBufError as {@link map} does for a range that is empty, unaligned, wraps or is too wide
   */
  unmap(va: number, sizeBytes: number, gather?: TableGather): number;
  /**
   * Changes permissions and memory type of what is mapped; accessed and dirty stay as they are.
   * @throws DmaBufError as {@link map}; `ENOENT` there is a hole · `EINVAL` a leaf lies only partly inside: split it first
   */
  protect(va: number, sizeBytes: number, protection: Protection): void;
  /**
   * Splits the leaf at `va` until it has `sizeBytes`; where it is smaller already, nothing happens. Translations stay as
   * they were, accessed and dirty are inherited. On Arm, entries change here without the break that its architecture wants
   * between two sizes: have the range unmapped where that matters.
   * @throws DmaBufError `EINVAL` not one of the format's leaf sizes · `ENOENT` nothing is mapped there · `ENOMEM`
   */
  split(va: number, sizeBytes: number): void;
  /**
   * The leaves with a byte in the range through which hardware wrote, ascending. Takes the mark off them unless `clear` is
   * `false`; hardware sets it again when its TLB was flushed. Linux: `read_and_clear_dirty`.
   * @throws DmaBufError `EOPNOTSUPP` the format has no such bit; and as {@link unmap}
   */
  readAndClearDirty(va: number, sizeBytes: number, options?: { readonly clear?: boolean }): Touched[];
  /** The same for leaves through which hardware read or wrote. */
  readAndClearAccessed(va: number, sizeBytes: number, options?: { readonly clear?: boolean }): Touched[];
  /** Walks as hardware would, noting nothing: what it read on the way, and where it ended or why it did not. */
  translate(va: number, access: Access): WalkResult;
  /**
   * The physical byte at `va`, or -1 where nothing is mapped; permissions are not looked at. Numbers only: for loops.
   * Linux: `iova_to_phys`, for which 0 is both an address and nothing.
   */
  lookup(va: number): number;
  /**
   * Every leaf with a byte in the range, ascending; of a leaf in several entries, one.
   * @defaultValue all addresses
   */
  leaves(va?: number, sizeBytes?: number): Generator<Leaf, void, void>;
  /**
   * Clears everything and gives all tables back, the root too. Nothing is mapped afterwards, and nothing can be.
   * @throws DmaBufError `EINVAL` when it was destroyed before
   */
  destroy(): void;
}

/**
 * Makes an empty page table: its root is taken from `memory` at once.
 * @throws DmaBufError `ENOMEM` no table left
 * @throws RangeError a leaf size that the format has not, or memory that its pointers do not reach
 * @example
 * const memory = createTableMemory({ basePhys: addr<PhysAddr>(0x1000_0000), sizeBytes: 64 * 4096 });
 * const table = createPageTable(vtdSecondStage, memory);
 * table.map(0x20_0000, addr<PhysAddr>(0x4000_0000), 0x40_0000, { read: true, write: true });
 * [...table.leaves()].map((leaf) => leaf.sizeBytes); // [0x20_0000, 0x20_0000]
 * table.lookup(0x20_1234); // 0x4000_1234
 * table.unmap(0x20_0000, 0x40_0000); // 0x40_0000
 */
export function createPageTable(format: Format, memory: TableMemory, options: PageTableOptions = {}): PageTable {
  return new Engine(format, memory, options);
}

class Engine implements PageTable {
  readonly format: Format;
  readonly #tables: Tables;
  readonly #sizes: LeafSizes;
  readonly #flags: FlagsCache;
  readonly #oaEnd: number;
  readonly #vaEnd: number;
  readonly #memory: { readEntry(entryPhys: PhysAddr): bigint | null };

  constructor(format: Format, memory: TableMemory, { leafSizesLog2, onStore, onRoot }: PageTableOptions) {
    const sizesLog2 = sizesOf(format, leafSizesLog2);
    this.format = format;
    this.#tables = new Tables(format, memory, onStore, onRoot);
    this.#sizes = new LeafSizes(sizesLog2);
    this.#flags = new FlagsCache(format, sizesLog2);
    this.#oaEnd = 2 ** format.oaBits;
    this.#vaEnd = 2 ** format.vaBits;
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
    if (sizeBytes === PAGE_BYTES)
      if (mapPage(this.#tables, va, physical, flags) || this.#seekAndMap(va, physical, flags)) return;
    if (!this.#fits(va, sizeBytes) || !isPage(physical) || physical + sizeBytes > this.#oaEnd)
      this.#refuseMap(va, physical, sizeBytes);
    mapRange(this.#tables, this.#sizes, { va, physical, sizeBytes, flags });
  }

  unmap(va: number, sizeBytes: number, gather?: TableGather): number {
    if (sizeBytes === PAGE_BYTES && (unmapPage(this.#tables, va) || this.#seekAndUnmap(va))) return PAGE_BYTES;
    this.#check("unmap", va, sizeBytes);
    return unmapRange(this.#tables, va, va + sizeBytes, gather) - va;
  }

  protect(va: number, sizeBytes: number, protection: Protection): void {
    this.#flags.of(protection);
    this.#check("protect", va, sizeBytes);
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

  readAndClearDirty(va: number, sizeBytes: number, { clear = true } = {}): Touched[] {
    return this.#sweep("dirty", va, sizeBytes, clear);
  }

  readAndClearAccessed(va: number, sizeBytes: number, { clear = true } = {}): Touched[] {
    return this.#sweep("accessed", va, sizeBytes, clear);
  }

  translate(va: number, access: Access): WalkResult {
    return walk(this.format, this.#memory, this, va, access);
  }

  lookup(va: number): number {
    return lookup(this.#tables, va);
  }

  *leaves(va: number = 0, sizeBytes: number = this.#vaEnd): Generator<Leaf, void, void> {
    for (const place of places(this.#tables, va, va + sizeBytes)) yield leafAt(this.#tables, place);
  }

  destroy(): void {
    const { root, top, rootTables } = this.#tables;
    if (this.tables === 0) this.#refuseDead("destroy");
    releaseBelow(this.#tables, root, top, rootTables * ENTRIES);
    this.#tables.end();
  }

  /** Where the page's table is not the one used last, but there, it becomes that. */
  #seekAndMap(va: number, physical: number, flags: LeafFlags): boolean {
    return this.#tables.seek(va) && mapPage(this.#tables, va, physical, flags);
  }

  #seekAndUnmap(va: number): boolean {
    return this.#tables.seek(va) && unmapPage(this.#tables, va);
  }

  #sweep(which: "accessed" | "dirty", va: number, sizeBytes: number, clear: boolean): Touched[] {
    const op = `read_and_clear_${which}`;
    if (this.format[which] === 0n)
      refuse("EOPNOTSUPP", op, `hardware keeps no ${which} bit in ${this.format.id}`, { format: this.format.id });
    this.#check(op, va, sizeBytes);
    return sweep(this.#tables, this.format[which], va, va + sizeBytes, clear);
  }

  #fits(va: number, sizeBytes: number): boolean {
    // Once it is destroyed, it holds no table.
    return (
      va >= 0 && sizeBytes > 0 && va + sizeBytes <= this.#vaEnd && isPage(va) && isPage(sizeBytes) && this.tables > 0
    );
  }

  #check(op: string, va: number, sizeBytes: number): void {
    if (!this.#fits(va, sizeBytes)) this.#refuseRange(op, va, sizeBytes, { va, sizeBytes });
  }

  /** Says what is wrong with a range, in the order in which Linux asks. */
  #refuseRange(op: string, va: number, sizeBytes: number, values: Record<string, number>): never {
    const { id, vaBits } = this.format;
    if (this.tables === 0) this.#refuseDead(op);
    if (sizeBytes === 0) refuse("EINVAL", op, "size is 0: name at least one page", values);
    for (const [name, value] of Object.entries(values))
      if (!(Number.isSafeInteger(value) && value >= 0))
        refuse(
          value > 0 ? "EOVERFLOW" : "EINVAL",
          op,
          `${name} ${value} is no address: whole, from 0 to 2^53 - 1`,
          values,
        );
    if (!Number.isSafeInteger(va + sizeBytes)) refuse("EOVERFLOW", op, `${va} + ${sizeBytes} wraps: end below`, values);
    for (const [name, value] of Object.entries(values))
      if (!isPage(value))
        refuse("ENXIO", op, `${name} ${hex(value)} is no multiple of ${PAGE_BYTES}: align it`, values);
    refuse("ERANGE", op, `${hex(va)} + ${hex(sizeBytes)} is beyond ${vaBits} bits of ${id}: map lower`, values);
  }

  #refuseDead(op: string): never {
    refuse("EINVAL", op, "the page table was destroyed: make another", { format: this.format.id });
  }

  #refuseMap(va: number, physical: number, sizeBytes: number): never {
    const { id, oaBits } = this.format;
    const values = { va, physical, sizeBytes };
    if (this.tables === 0) this.#refuseDead("map");
    const beyond = `physical ${hex(physical)} + ${hex(sizeBytes)} is beyond ${oaBits} bits of ${id}: it has no such memory`;
    if (physical >= this.#oaEnd) refuse("ERANGE", "map", beyond, values);
    if (this.#fits(va, sizeBytes) && isPage(physical)) refuse("ERANGE", "map", beyond, values);
    this.#refuseRange("map", va, sizeBytes, values);
  }
}

function isPage(value: number): boolean {
  const pages = value / PAGE_BYTES;
  return Math.floor(pages) === pages && pages >= 0;
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

const PAGE_LOG2 = 12;
