/** A page table over one format, in memory that hardware walks. */
import type { PhysAddr, TableMemory } from "@dma-buf/core";
import type { Touched } from "./engine/change.js";
import { Engine } from "./engine/engine.js";
import type { OnStore } from "./engine/entries.js";
import type { Leaf } from "./engine/inspect.js";
import type { OnRoot, TableGather } from "./engine/tables.js";
import type { Access, Format, Protection } from "./format.js";
import type { WalkResult, WalkRoot } from "./walk.js";

/** How a page table is made. */
export interface PageTableOptions {
  /** The leaf sizes to use, log2, a subset of the format's with the smallest in it. @defaultValue all of them */
  readonly leafSizesLog2?: readonly number[];
  /**
   * What becomes of a map where something is mapped. `refuse`: `EADDRINUSE`, as generic_pt has it. `replace-table`: `EEXIST`,
   * but a leaf that is larger than all that is there takes its place without a word, as io-pgtable-arm has it. @defaultValue "refuse"
   */
  readonly overmap?: "refuse" | "replace-table";
  /** Called for every entry that is written, after it was. Slows everything down. */
  readonly onStore?: OnStore;
  /** Called when the root moved, with where it is now: AMD's grows. Linux: `change_top` of the driver. */
  readonly onRoot?: OnRoot;
}

/** How marks of hardware are read. */
export interface SweepOptions {
  /** Take them off? @defaultValue true */
  readonly clear?: boolean;
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
   * Changes permissions and memory type of what is mapped; accessed and dirty stay as they are. What the protection does
   * not say is the format's own again: a UC leaf of EPT is WB after a `protect` without `cache`.
   * @throws DmaBufError as {@link map}; `ENOENT` there is a hole · `EINVAL` a leaf lies only partly inside: split it first
   */
  protect(va: number, sizeBytes: number, protection: Protection): void;
  /**
   * Splits the leaf at `va` until it has `sizeBytes`; where it is smaller already, nothing happens. Translations stay as
   * they were, accessed and dirty are inherited. On Arm, entries change here without the break that its architecture wants
   * between two sizes: have the range unmapped where that matters.
   * @throws DmaBufError `EINVAL` no address, or none of the leaf sizes to use · `ERANGE` · `ENOENT` nothing is mapped
   * there · `ENOMEM`
   */
  split(va: number, sizeBytes: number): void;
  /**
   * The leaves with a byte in the range through which hardware wrote, ascending. Takes the mark off them unless `clear` is
   * `false`; hardware sets it again when its TLB was flushed. Linux: `read_and_clear_dirty`.
   * @throws DmaBufError `EOPNOTSUPP` the format has no such bit; and as {@link unmap}
   */
  readAndClearDirty(va: number, sizeBytes: number, options?: SweepOptions): Touched[];
  /** The same for leaves through which hardware read or wrote. */
  readAndClearAccessed(va: number, sizeBytes: number, options?: SweepOptions): Touched[];
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
