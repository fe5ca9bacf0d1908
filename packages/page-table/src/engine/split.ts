/**
 * Splitting one leaf until it has a given size at a given address; the rest of it becomes leaves as large as the levels on
 * the way have. Tables are filled before they are linked, so that hardware sees the old leaf or all that comes after it.
 */
import { hex } from "@dma-buf/core";
import { entryLog2 } from "../format.js";
import { refuse } from "../refuse.js";
import { type Content, entriesOf, notedIn, writeLeaves } from "./change.js";
import { levelOf } from "./flags.js";
import { type Place, places } from "./inspect.js";
import { ENTRIES } from "./entries.js";
import type { Tables } from "./tables.js";

/** @throws DmaBufError `ENOENT` nothing is mapped there · `ENOMEM` no table left; then all is as before. */
export function splitLeaf(tables: Tables, va: number, sizeLog2: number): void {
  const [place] = places(tables, va, va + 1);
  if (!place) return refuse("ENOENT", "split", `nothing is mapped at ${hex(va)}: map it first`, { va });
  if (place.sizeLog2 > sizeLog2) new Split(tables, place, va, sizeLog2).run();
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
  readonly #place: Place;
  readonly #va: number;
  readonly #sizeLog2: number;
  readonly #target: number;
  readonly #content: Content;
  readonly #physical: number;
  /** Tables that are not linked yet, by level. */
  #spare: number[][] = [];

  constructor(tables: Tables, place: Place, va: number, sizeLog2: number) {
    this.#tables = tables;
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
    const needs: number[] = [];
    for (let at = level; at > this.#target; at--)
      needs[at - 1] = entriesOf({ level: at, sizeLog2: this.#leafLog2(at) });
    this.#spare = this.#tables.spare(needs);
    this.#refine({ level, entry, entries: entriesOf(this.#place), va });
  }

  /** Fills a block with leaves, the one at the address as small as asked. */
  #refine(block: Block): void {
    const { level, entry, va } = block;
    const log2 = this.#leafLog2(level);
    // A leaf that has its level's size already is not written again.
    if (level < this.#place.level || log2 < this.#place.sizeLog2) this.#fill(block, log2);
    if (level === this.#target) return;
    const entryBytes = 2 ** entryLog2(level);
    const start = Math.floor(this.#va / 2 ** log2) * 2 ** log2;
    for (let at = start; at < start + 2 ** log2; at += entryBytes)
      this.#descend(entry + (at - va) / entryBytes, level, at);
  }

  /** Puts a full table where a leaf, or a part of one, was. */
  #descend(entry: number, level: number, va: number): void {
    const table = this.#spare[level - 1]?.pop() as number;
    const below = { level: level - 1, entry: table * ENTRIES, entries: ENTRIES, va };
    if (Math.floor(this.#va / 2 ** entryLog2(level)) * 2 ** entryLog2(level) === va) this.#refine(below);
    else this.#fill(below, this.#leafLog2(level - 1));
    this.#tables.count(below.entry, ENTRIES);
    this.#tables.pointTo(entry, level, table);
  }

  #fill({ level, entry, entries, va }: Block, sizeLog2: number): void {
    const physical = this.#physical + (va - this.#place.va);
    writeLeaves(this.#tables, this.#content, { level, sizeLog2 }, entry, entries, physical);
  }

  /** The leaves of a level: as asked at the last one, else the smallest that the format has there. AMD has no 512 GiB. */
  #leafLog2(level: number): number {
    if (level === this.#target) return this.#sizeLog2;
    return this.#tables.format.leafSizesLog2.find((s) => s >= entryLog2(level)) as number;
  }
}
