/**
 * The tables of one page table: which are its own, at which level, with how many entries in use. Whatever follows a
 * pointer here asks whether it leads to a table that was put there, so that no walk goes astray or round in circles.
 */
import { hex, type PhysAddr, type TableMemory } from "@dma-buf/core";
import type { Format } from "../format.js";
import { refuse } from "../refuse.js";
import { addressBits } from "../walk.js";
import { ENTRIES, Entries, type OnStore } from "./entries.js";
import { PAGE_BYTES, WORD } from "./layout.js";
import { Near } from "./near.js";

/** Told when the root moves: where it is now, and how many levels hang below it, its own included. */
export type OnRoot = (root: PhysAddr, levels: number) => void;

/** Tables taken out of a page table, not yet given back. Linux: the freelist of an `iommu_iotlb_gather`. */
export type TableGather = PhysAddr[];

export class Tables extends Entries {
  /** By table of the pool: present entries. */
  readonly live: Uint16Array;
  /** By table of the pool: its level plus one if it belongs to this page table, else 0. */
  readonly levelOf: Uint8Array;
  readonly #memory: TableMemory;
  /** Bits 31:0 of the page frame number at which the pool begins, signed. */
  readonly #basePfnLo: number;
  readonly #basePfnHi: number;
  readonly #onRoot: OnRoot | undefined;
  /** Where the root is in the pool, and its level. */
  root: number;
  top: number;
  /** Input addresses end here. Grows with the root. */
  vaEnd: number;
  /** Tables held, the root's own included. */
  held = 0;
  /** Output addresses end here. */
  readonly oaEnd: number;
  readonly near: Near;
  /** Up to where the map that is under way has written leaves; an array, as a field would be a heap object each time. */
  readonly reached: Float64Array = new Float64Array(1);
  /** Entries that lead to tables made since {@link begin}, for {@link undo}. */
  #made = new Int32Array(16);
  #madeCount = 0;
  #topBefore = -1;
  #toldRoot: number;
  /** Roots that an undo leaves alone until it is through. */
  #kept: ReadonlySet<number> | null = null;

  constructor(format: Format, memory: TableMemory, onStore?: OnStore, onRoot?: OnRoot) {
    checkMemory(format, memory);
    super(format, memory, onStore);
    const pool = memory.sizeBytes / PAGE_BYTES;
    this.#memory = memory;
    this.#onRoot = onRoot;
    this.live = new Uint16Array(pool);
    this.levelOf = new Uint8Array(pool);
    this.near = new Near(pool);
    this.#basePfnLo = (memory.basePhys / PAGE_BYTES) | 0;
    this.#basePfnHi = Math.floor(memory.basePhys / PAGE_BYTES / WORD);
    this.oaEnd = 2 ** format.oaBits;
    this.top = format.levels - 1;
    this.vaEnd = 2 ** addressBits(format, format.levels);
    this.root = this.#toldRoot = this.alloc(this.top, this.rootTables);
  }

  /** Tables of the root: more than one where addresses have more bits than its 9 leave room for. */
  get rootTables(): number {
    return Math.max(1, this.vaEnd / (this.layout.entryBytes[this.top] as number) / ENTRIES);
  }

  get rootPhys(): PhysAddr {
    return this.physOf(this.root);
  }

  /** Where the entry for `va` stands in a table at `level`: its number in the pool. */
  entryAt(table: number, level: number, va: number): number {
    const index = Math.floor(va * (this.layout.perEntry[level] as number));
    return table * ENTRIES + (level === this.top ? index : index & (ENTRIES - 1));
  }

  /** The table of the pool to which an entry of a table at `level` leads. */
  child(entry: number, level: number): number {
    const { shift, pfnHiMask } = this.layout;
    const lo = this.words[2 * entry] as number;
    const hi = this.words[2 * entry + 1] as number;
    const table = (((lo >>> shift) | (hi << (32 - shift))) - this.#basePfnLo) | 0;
    if (this.levelOf[table] !== level || ((hi >>> shift) & pfnHiMask) !== this.#basePfnHi) this.#astray(entry, level);
    return table;
  }

  /** Looks for the lowest table for `va`, to be remembered: is there one? */
  seek(va: number): boolean {
    if (!(va >= 0 && va < this.vaEnd)) return false;
    let table = this.root;
    for (let level = this.top; level > 0; level--) {
      const entry = this.entryAt(table, level, va);
      if (!this.isPresent(entry) || !this.isTable(entry, level)) return false;
      table = this.child(entry, level);
    }
    this.near.remember(va, table);
    return true;
  }

  /** The table to which an entry leads; makes it where there is none. */
  childFor(entry: number, level: number): number {
    return this.isPresent(entry) ? this.child(entry, level) : this.#makeTable(entry, level);
  }

  /** Makes the root high enough for addresses below `end` and for leaves at `level`, then says so. */
  grow(end: number, level: number): void {
    while (end > this.vaEnd || level > this.top) {
      const higher = this.alloc(this.top + 1);
      this.#link(higher * ENTRIES, this.top + 1, this.root);
      this.#moveRoot(higher, this.top + 1);
    }
    this.#tellRoot();
  }

  #moveRoot(root: number, level: number): void {
    this.root = root;
    this.top = level;
    this.vaEnd = 2 ** addressBits(this.format, level + 1);
  }

  /** Says where the root is, if it is not where hardware was told. */
  #tellRoot(): void {
    if (this.root === this.#toldRoot) return;
    this.#toldRoot = this.root;
    this.#onRoot?.(this.rootPhys, this.top + 1);
  }

  /** Gives back a table that was never linked. */
  abandon(table: number): void {
    this.#empty(table);
    this.#release(table);
  }

  /** Lets an entry of a table at `level` lead to `table`, whatever stood there. */
  pointTo(entry: number, level: number, table: number): void {
    const { tableLo, tableHi } = this.layout;
    this.store(entry, tableLo[level] as number, tableHi[level] as number, this.physOf(table));
  }

  /** Empties entries of one table. */
  clear(entry: number, entries: number): void {
    // A call of fill() costs what eight stores cost.
    if (entries > 8) this.words.fill(0, 2 * entry, 2 * (entry + entries));
    else for (let at = 2 * entry; at < 2 * (entry + entries); at++) this.words[at] = 0;
    this.count(entry, -entries);
    this.stored(entry, entries);
  }

  /** Books entries that came or went, all in the table of the first. */
  count(entry: number, entries: number): void {
    this.live[entry >>> 9] = (this.live[entry >>> 9] as number) + entries;
  }

  /** The same for a run that may go on in the next table of a root of several. */
  countRun(entry: number, entries: number): void {
    for (let at = entry; at < entry + entries; at = (at | (ENTRIES - 1)) + 1)
      this.count(at, Math.min((at | (ENTRIES - 1)) + 1, entry + entries) - at);
  }

  /** Takes the empty table out to which `entry` leads, and gives it back, or notes it for later. */
  drop(entry: number, table: number, gather?: TableGather): void {
    if (this.#kept?.has(table)) return;
    this.clear(entry, 1);
    this.#release(table, gather);
  }

  /**
   * Takes a lowest table out with all its leaves, if every entry is one: giving it back clears it. `false` where somebody
   * wants to see each entry go, or the table is kept for later.
   */
  dropFull(entry: number, table: number, gather?: TableGather): boolean {
    if (this.live[table] !== ENTRIES || gather || this.isWatched) return false;
    this.live[table] = 0;
    this.drop(entry, table);
    return true;
  }

  #release(table: number, gather?: TableGather): void {
    this.levelOf[table] = 0;
    this.held--;
    this.near.forget(table);
    if (gather) gather.push(this.physOf(table));
    else this.#memory.freeTable(this.physOf(table));
  }

  /** From here on, {@link undo} knows what to take back. */
  begin(): void {
    this.#madeCount = 0;
    this.#topBefore = this.top;
  }

  /**
   * Takes back what was done since {@link begin}: lets `clear` unmap what was mapped, then gives each table back that was
   * made, the higher roots last, when hardware knows that it starts at the old one again.
   */
  undo(clear: () => void): void {
    const roots = this.#rootsSinceBegin();
    this.#kept = new Set(roots);
    clear();
    for (let i = this.#madeCount - 1; i >= 0; i--) {
      const entry = this.#made[i] as number;
      const level = (this.levelOf[entry >>> 9] as number) - 1;
      // Unmapping a range takes out the tables that it covers whole, and then neither entry nor parent is there.
      if (level > 0 && this.isPresent(entry)) this.drop(entry, this.child(entry, level));
    }
    this.#kept = null;
    // An empty root may have given way to a leaf. It is the next higher one then that takes its place, as empty.
    const root = roots.pop() as number;
    this.levelOf[root] = this.#topBefore + 1;
    this.#moveRoot(root, this.#topBefore);
    this.#tellRoot();
    for (const higher of roots) {
      this.clear(higher * ENTRIES, 1);
      this.#release(higher);
    }
  }

  /** The roots from now down to the one of then, as far as each still leads to the next. */
  #rootsSinceBegin(): number[] {
    const roots = [this.root];
    for (let { root, top } = this; top > this.#topBefore; top--) {
      const entry = root * ENTRIES;
      if (!this.isPresent(entry) || !this.isTable(entry, top)) break;
      root = this.child(entry, top);
      roots.push(root);
    }
    return roots;
  }

  /** Clears and gives back every table, the root too, whatever leads to them. From here on no address is inside. */
  end(): void {
    for (let table = 0; table < this.levelOf.length; table++)
      if (this.levelOf[table] !== 0 && !this.#isOfRoot(table)) {
        this.#empty(table);
        this.#release(table);
      }
    const { root, rootTables } = this;
    for (let table = root; table < root + rootTables; table++) this.#empty(table);
    this.levelOf.fill(0, root, root + rootTables);
    this.#memory.freeTable(this.rootPhys, rootTables);
    this.held = 0;
    this.vaEnd = 0;
  }

  #isOfRoot(table: number): boolean {
    return table >= this.root && table < this.root + this.rootTables;
  }

  #empty(table: number): void {
    for (let entry = table * ENTRIES; entry < (table + 1) * ENTRIES; entry++)
      if (((this.words[2 * entry] as number) | (this.words[2 * entry + 1] as number)) !== 0) this.clear(entry, 1);
    this.live[table] = 0;
  }

  #makeTable(entry: number, level: number): number {
    const table = this.alloc(level - 1);
    this.#link(entry, level, table);
    if (this.#madeCount === this.#made.length) this.#growMade();
    this.#made[this.#madeCount++] = entry;
    return table;
  }

  #growMade(): void {
    const larger = new Int32Array(4 * this.#made.length);
    larger.set(this.#made);
    this.#made = larger;
  }

  /** Lets an empty entry of a table at `level` lead to `table`. */
  #link(entry: number, level: number, table: number): void {
    this.pointTo(entry, level, table);
    this.count(entry, 1);
  }

  /** A table, or a row of them, that is not linked yet. @throws DmaBufError `ENOMEM` */
  alloc(level: number, count: number = 1): number {
    const table = (this.#memory.allocTable(count) - this.basePhys) / PAGE_BYTES;
    for (let i = table; i < table + count; i++) this.levelOf[i] = level + 1;
    this.held += count;
    return table;
  }

  #astray(entry: number, level: number): never {
    const at = this.basePhys + entry * 8;
    const bits = this.all[entry] as bigint;
    const rule = "this page table put none there; somebody else wrote into its memory";
    refuse("EIO", "walk", `[${hex(at)}] = 0x${bits.toString(16)} leads to no table of level ${level - 1}: ${rule}`, {
      entryPhys: at,
      entry: bits,
      level,
    });
  }
}

/** Table memory must be one that the format's pointers reach, within one window of 16 TiB. */
function checkMemory(format: Format, { basePhys, sizeBytes }: TableMemory): void {
  const end = basePhys + sizeBytes;
  if (end > 2 ** format.oaBits)
    throw new RangeError(
      `table memory ends at ${hex(end)}, beyond ${format.oaBits} bits of ${format.id}: place it lower`,
    );
  if (Math.floor(basePhys / 2 ** 44) !== Math.floor((end - 1) / 2 ** 44))
    throw new RangeError(`table memory from ${hex(basePhys)} to ${hex(end)} crosses 16 TiB: place it on one side`);
}
