/**
 * Splitting one leaf until it has a given size at a given address; the rest of it becomes leaves as large as the levels on
 * the way have. Tables are filled before they are linked, so that hardware sees the old leaf or all that comes after it.
 */
import { hex } from "@dma-buf/core";
import { entryLog2 } from "../format.js";
import { refuse } from "../refuse.js";
import { type Content, notedIn, writeLeaves } from "./change.js";
import { ENTRIES } from "./entries.js";
import { levelOf } from "./flags.js";
import { entriesOf, type Place, places } from "./inspect.js";
import type { Tables } from "./tables.js";

/**
 * @param sizesLog2 the leaf sizes to use, ascending
 * @throws DmaBufError `ENOENT` nothing is mapped there · `ENOMEM` no table left; then all is as before.
 */
export function splitLeaf(tables: Tables, sizesLog2: readonly number[], va: number, sizeLog2: number): void {
  const [place] = places(tables, va, va + 1);
  if (!place) return refuse("ENOENT", "split", `nothing is mapped at ${hex(va)}: map it first`, { va });
  if (place.sizeLog2 > sizeLog2) new Split(tables, sizesLog2, place, va, sizeLog2).run();
}

/** Entries of one table that together cover what one leaf, or one entry above, covered. */
interface Block {
  readonly level: number;
  readonly entry: number;
  readonly entries: number;
  readonly va: number;
}

class Split {
  readonly #tables: Tables;
  readonly #sizesLog2: readonly number[];
  readonly #place: Place;
  readonly #va: number;
  readonly #sizeLog2: number;
  /** The level at which leaves of that size stand. */
  readonly #target: number;
  readonly #content: Content;
  readonly #physical: number;
  readonly #made: number[] = [];

  constructor(tables: Tables, sizesLog2: readonly number[], place: Place, va: number, sizeLog2: number) {
    this.#tables = tables;
    this.#sizesLog2 = sizesLog2;
    this.#place = place;
    this.#va = va;
    this.#sizeLog2 = sizeLog2;
    this.#target = levelOf(sizeLog2);
    const bits = tables.all[place.entry] as bigint;
    this.#content = { protection: tables.format.protection(bits, place.level), noted: notedIn(tables, place) };
    this.#physical = tables.outputOf(place.entry, place.sizeLog2);
  }

  run(): void {
    const { level, entry, va } = this.#place;
    try {
      this.#fill({ level, entry, entries: entriesOf(this.#place), va });
    } catch (error) {
      for (const table of this.#made) this.#tables.abandon(table);
      throw error;
    }
  }

  /** Fills a block with leaves, and with tables where they must become smaller still. The tables come first. */
  #fill({ level, entry, entries, va }: Block): void {
    const tables = this.#tables;
    const sizeLog2 = this.#sizeAt(level);
    const bytes = 2 ** entryLog2(level);
    const cuts: { readonly entry: number; readonly table: number }[] = [];
    for (let i = 0; i < entries; i++)
      if (this.#isCut(level, va + i * bytes))
        cuts.push({ entry: entry + i, table: this.#filled(level - 1, va + i * bytes) });
    // The leaf itself is not written again.
    if (sizeLog2 !== undefined && !(level === this.#place.level && sizeLog2 === this.#place.sizeLog2)) {
      const physical = this.#physical + (va - this.#place.va);
      writeLeaves(tables, this.#content, { level, sizeLog2 }, entry, entries, physical);
    }
    for (const cut of cuts) tables.pointTo(cut.entry, level, cut.table);
  }

  /** A full table that is not linked yet. */
  #filled(level: number, va: number): number {
    const table = this.#tables.alloc(level);
    this.#made.push(table);
    this.#fill({ level, entry: table * ENTRIES, entries: ENTRIES, va });
    this.#tables.count(table * ENTRIES, ENTRIES);
    return table;
  }

  /** Must an entry become a table? Where its level has no leaf to use, or the leaf that it is part of has the address. */
  #isCut(level: number, va: number): boolean {
    const sizeLog2 = this.#sizeAt(level);
    if (sizeLog2 === undefined) return true;
    return level > this.#target && Math.floor(va / 2 ** sizeLog2) === Math.floor(this.#va / 2 ** sizeLog2);
  }

  /** The leaves of a level: as asked at the last one, else the smallest to use there. AMD has no 512 GiB. */
  #sizeAt(level: number): number | undefined {
    return level === this.#target ? this.#sizeLog2 : this.#sizesLog2.find((s) => levelOf(s) === level);
  }
}
