/** Map, unmap and translate over one format, in memory that hardware walks. A failed map leaves nothing behind. */
import { addr, DmaBufError, type ErrnoName, hex, PAGE_SIZE, type PhysAddr, type TableMemory } from "@dma-buf/core";
import { type Access, type Entry, entryLog2, type Format, type Protection } from "./format.js";
import { entryOffset, walk, type WalkResult } from "./walk.js";

export interface PageTableOptions {
  /** The leaf sizes to use, log2, a subset of the format's. @defaultValue all of them */
  readonly leafSizesLog2?: readonly number[];
  /** Called for every entry that is written, with its address and its halves. */
  readonly onStore?: (entryPhys: PhysAddr, lo: number, hi: number) => void;
}

/** One leaf as it stands in the table. */
export interface Leaf {
  readonly va: number;
  readonly physical: PhysAddr;
  readonly sizeBytes: number;
  readonly protection: Protection;
  readonly entry: Entry;
}

/** A page table. Not safe against concurrent writers: its owner holds a lock. Hardware may walk at any time. */
export interface PageTable {
  readonly format: Format;
  readonly root: PhysAddr;
  /**
   * Maps `[va, va + sizeBytes)` to consecutive physical bytes, each leaf as large as alignment and length allow.
   * All or nothing.
   * @throws DmaBufError `EINVAL` neither readable nor writable, or empty · `ERANGE` beyond the format's widths ·
   * `EOVERFLOW` the range wraps · `ENXIO` not page aligned · `ENOMEM` no table left · `EADDRINUSE` something is mapped
   * there.
   */
  map(va: number, physical: PhysAddr, sizeBytes: number, protection: Protection): void;
  /**
   * Unmaps leaves from `va` on, up to the first hole. A leaf that begins before `va` stops it; one that ends after
   * the range goes whole. Tables that become empty are given back. Does not flush anybody's TLB.
   * @returns bytes unmapped
   */
  unmap(va: number, sizeBytes: number): number;
  translate(va: number, access: Access): WalkResult;
  /** Every leaf, by ascending address. */
  leaves(): Generator<Leaf, void, void>;
  /** Clears everything and gives all tables back, the root too. */
  destroy(): void;
}

export function createPageTable(format: Format, memory: TableMemory, options: PageTableOptions = {}): PageTable {
  return new Engine(format, memory, options);
}

class Engine implements PageTable {
  readonly format: Format;
  readonly root: PhysAddr;
  readonly #memory: TableMemory;
  readonly #leafSizes: readonly number[];
  readonly #onStore: PageTableOptions["onStore"];
  /** Entries in use per table: a table at zero goes back at once. */
  readonly #used = new Map<PhysAddr, number>();

  constructor(format: Format, memory: TableMemory, options: PageTableOptions) {
    this.format = format;
    this.#memory = memory;
    this.#leafSizes = (options.leafSizesLog2 ?? format.leafSizesLog2).toSorted((a, b) => b - a);
    this.#onStore = options.onStore;
    this.root = this.#newTable();
  }

  map(va: number, physical: PhysAddr, sizeBytes: number, protection: Protection): void {
    this.#checkMap(va, physical, sizeBytes, protection);
    let done = 0;
    try {
      while (done < sizeBytes)
        done += this.#mapLeaf(va + done, addr<PhysAddr>(physical + done), sizeBytes - done, protection);
    } catch (error) {
      this.unmap(va, done);
      throw error;
    }
  }

  unmap(va: number, sizeBytes: number): number {
    let done = 0;
    while (done < sizeBytes) {
      const gone = this.#unmapLeaf(va + done);
      if (gone === 0) break;
      done += gone;
    }
    return done;
  }

  translate(va: number, access: Access): WalkResult {
    return walk(this.format, (at) => this.#load(at), this.root, va, access);
  }

  *leaves(): Generator<Leaf, void, void> {
    yield* this.#leavesBelow(this.root, this.format.levels - 1, 0);
  }

  destroy(): void {
    for (const leaf of Array.from(this.leaves())) this.unmap(leaf.va, leaf.sizeBytes);
    this.#used.delete(this.root);
    this.#memory.freeTable(this.root);
  }

  /** Maps the largest leaf that fits at `va`; gives its size. On failure the tables it made are gone again. */
  #mapLeaf(va: number, physical: PhysAddr, room: number, protection: Protection): number {
    const log2 = this.#leafSizes.find((s) => room >= 2 ** s && va % 2 ** s === 0 && physical % 2 ** s === 0) as number;
    const level = (log2 - 12) / 9;
    const made: PhysAddr[] = [];
    try {
      const slot = this.#slot(va, level, made);
      const { lo, hi } = this.#load(slot);
      if (this.format.decode(level, lo, hi).kind !== "empty")
        this.#refuse("EADDRINUSE", `${hex(va)} is mapped already: unmap it first`, { va });
      this.#store(slot, this.format.encodeLeaf(level, physical, protection));
    } catch (error) {
      for (const entry of made.toReversed()) this.#dropTable(entry);
      throw error;
    }
    return 2 ** log2;
  }

  /** The address of the entry for `va` in a table of `level`; makes the tables on the way, noting their entries. */
  #slot(va: number, level: number, made: PhysAddr[]): PhysAddr {
    let table = this.root;
    for (let at = this.format.levels - 1; at > level; at--) {
      const entryPhys = addr<PhysAddr>(table + entryOffset(va, at));
      const { lo, hi } = this.#load(entryPhys);
      const found = this.format.decode(at, lo, hi);
      if (found.kind === "leaf")
        this.#refuse("EADDRINUSE", `${hex(va)} lies in a larger leaf: unmap that first`, { va });
      if (found.kind === "table") {
        table = found.physical;
        continue;
      }
      table = this.#newTable();
      made.push(entryPhys);
      this.#store(entryPhys, this.format.encodeTable(table));
    }
    return addr<PhysAddr>(table + entryOffset(va, level));
  }

  /** Removes the leaf that begins at `va` and every table that is empty after it; gives its size, 0 if there is none. */
  #unmapLeaf(va: number): number {
    const found = walk(this.format, (at) => this.#load(at), this.root, va, "read");
    const steps = found.steps;
    const leaf = steps[steps.length - 1];
    if (!leaf || (found.kind === "fault" && found.reason !== "permission")) return 0;
    const sizeBytes = 2 ** entryLog2(leaf.level);
    if (va % sizeBytes !== 0) return 0;
    this.#store(leaf.entryPhys, { lo: 0, hi: 0 });
    for (const { entryPhys } of steps.toReversed().slice(1)) if (!this.#dropIfEmpty(entryPhys)) break;
    return sizeBytes;
  }

  #dropIfEmpty(entryPhys: PhysAddr): boolean {
    const table = this.#tableAt(entryPhys);
    if ((this.#used.get(table) ?? 0) > 0) return false;
    this.#dropTable(entryPhys);
    return true;
  }

  #dropTable(entryPhys: PhysAddr): void {
    const table = this.#tableAt(entryPhys);
    this.#store(entryPhys, { lo: 0, hi: 0 });
    this.#used.delete(table);
    this.#memory.freeTable(table);
  }

  #tableAt(entryPhys: PhysAddr): PhysAddr {
    const { lo, hi } = this.#load(entryPhys);
    const found = this.format.decode(this.format.levels - 1, lo, hi);
    if (found.kind !== "table") throw new RangeError(`${hex(entryPhys)} holds no table`);
    return found.physical;
  }

  #newTable(): PhysAddr {
    const table = this.#memory.allocTable();
    this.#used.set(table, 0);
    return table;
  }

  *#leavesBelow(table: PhysAddr, level: number, va: number): Generator<Leaf, void, void> {
    for (let i = 0; i < 512; i++) {
      const entry = this.#load(addr<PhysAddr>(table + i * 8));
      const found = this.format.decode(level, entry.lo, entry.hi);
      const at = va + i * 2 ** entryLog2(level);
      if (found.kind === "table") yield* this.#leavesBelow(found.physical, level - 1, at);
      if (found.kind === "leaf")
        yield {
          va: at,
          physical: found.physical,
          sizeBytes: 2 ** entryLog2(level),
          protection: found.protection,
          entry,
        };
    }
  }

  #load(entryPhys: PhysAddr): Entry {
    const at = (entryPhys - this.#memory.basePhys) / 4;
    return { lo: this.#memory.words[at] as number, hi: this.#memory.words[at + 1] as number };
  }

  #store(entryPhys: PhysAddr, { lo, hi }: Entry): void {
    const byte = entryPhys - this.#memory.basePhys;
    const { words, basePhys } = this.#memory;
    const was = words[byte / 4] !== 0 || words[byte / 4 + 1] !== 0;
    const is = lo !== 0 || hi !== 0;
    const table = addr<PhysAddr>(basePhys + byte - (byte % PAGE_SIZE));
    this.#used.set(table, (this.#used.get(table) ?? 0) + Number(is) - Number(was));
    words[byte / 4] = lo;
    words[byte / 4 + 1] = hi;
    this.#onStore?.(entryPhys, lo, hi);
  }

  #checkMap(va: number, physical: PhysAddr, sizeBytes: number, { read, write }: Protection): void {
    const values = { va, physical, sizeBytes };
    if (!read && !write) this.#refuse("EINVAL", "neither readable nor writable: allow one", values);
    if (physical >= 2 ** this.format.maxOaBits)
      this.#refuse(
        "ERANGE",
        `physical ${hex(physical)} is beyond ${this.format.maxOaBits} bits of ${this.format.id}`,
        values,
      );
    if (sizeBytes === 0) this.#refuse("EINVAL", "size is 0: map at least one page", values);
    if (!Number.isSafeInteger(va + sizeBytes)) this.#refuse("EOVERFLOW", `${va} + ${sizeBytes} wraps`, values);
    for (const [name, value] of Object.entries(values))
      if (value % PAGE_SIZE !== 0)
        this.#refuse("ENXIO", `${name} ${hex(value)} is not a multiple of ${PAGE_SIZE}: align it`, values);
    if (va + sizeBytes > 2 ** this.format.maxVaBits)
      this.#refuse(
        "ERANGE",
        `${hex(va)}+${hex(sizeBytes)} is beyond ${this.format.maxVaBits} bits of ${this.format.id}`,
        values,
      );
  }

  #refuse(code: ErrnoName, message: string, values: Record<string, unknown>): never {
    throw new DmaBufError(code, { op: "map", stage: "map", message, values });
  }
}
