/** What the tests of this package share: a kit, and an oracle that knows no tables, only a list of leaves. */
import { addr, type PhysAddr, type TableMemory } from "@dma-buf/core";
import type { Tables } from "./engine/tables.js";
import type { Format, Protection } from "./format.js";
import { createTableMemory } from "./memory.js";
import { createPageTable, type PageTable, type PageTableOptions } from "./page-table.js";
import { walk, type WalkMemory } from "./walk.js";

export const RW: Protection = { read: true, write: true };
export const RO: Protection = { read: true, write: false };
export const phys = (n: number): PhysAddr => addr<PhysAddr>(n);
export const BASE: PhysAddr = phys(0x1000_0000);

export interface Kit {
  readonly memory: TableMemory;
  readonly table: PageTable;
  /** What a device of the machine sees, with accessed and dirty set by hardware. */
  readonly hardware: WalkMemory;
}

export function kit(format: Format, tables = 256, options: PageTableOptions = {}): Kit {
  const memory = createTableMemory({ basePhys: BASE, sizeBytes: tables * 4096 });
  return { memory, table: createPageTable(format, memory, options), hardware: hardwareOf(memory) };
}

/** Entries by address, read and written through a view of its own. */
export function hardwareOf(memory: TableMemory): Required<WalkMemory> {
  const view = new DataView(memory.words.buffer);
  const inside = (at: number): boolean => at >= memory.basePhys && at + 8 <= memory.basePhys + memory.sizeBytes;
  return {
    readEntry: (at) => (inside(at) ? view.getBigUint64(at - memory.basePhys, true) : null),
    writeEntry: (at, entry) => view.setBigUint64(at - memory.basePhys, entry, true),
  };
}

/** What the engine counts and remembers, and what is not so when it is counted again. */
export function miscounts(table: PageTable): string[] {
  const tables = (table as PageTable & { readonly inner: Tables }).inner;
  const wrong: string[] = [];
  const seen = new Set<number>();
  const visit = (at: number, level: number): void => {
    seen.add(at);
    if (tables.levelOf[at] !== level + 1)
      wrong.push(`table ${at} is of level ${level}, noted as ${tables.levelOf[at]}`);
    const entries = Array.from({ length: 512 }, (_, i) => at * 512 + i).filter((entry) => tables.isPresent(entry));
    if (tables.live[at] !== entries.length) wrong.push(`table ${at} has ${entries.length}, counted ${tables.live[at]}`);
    for (const entry of entries) if (tables.isTable(entry, level)) visit(tables.child(entry, level), level - 1);
  };
  for (let i = 0; i < tables.rootTables; i++) visit(tables.root + i, tables.top);
  if (seen.size !== tables.held) wrong.push(`${seen.size} tables, counted ${tables.held}`);
  const strange = [...tables.near.tables].filter((at) => at >= 0 && !(seen.has(at) && tables.levelOf[at] === 1));
  return [...wrong, ...strange.map((at) => `table ${at} is remembered, and is none`)];
}

/** Is there no bit left? */
export function isClear({ memory }: Kit): boolean {
  return memory.words.every((w) => w === 0);
}

/** Byte for byte; `toEqual` takes an age for a megabyte. */
export function isSame(a: Int32Array, b: Int32Array): boolean {
  return Buffer.compare(new Uint8Array(a.buffer), new Uint8Array(b.buffer)) === 0;
}

/** Where hardware ends up, or -1. */
export function walked({ table, hardware }: Kit, va: number, access: "read" | "write"): number {
  const found = walk(table.format, hardware, table, va, access);
  return found.kind === "hit" ? found.physical : -1;
}

/** One leaf of the oracle: addresses in pages. */
export interface OracleLeaf {
  page: number;
  frame: number;
  pages: number;
  protection: Protection;
  accessed: boolean;
  dirty: boolean;
}

/** A list of leaves, searched from one end to the other. */
export class Oracle {
  leaves: OracleLeaf[] = [];
  readonly #sizes: readonly number[];

  constructor(format: Format) {
    this.#sizes = format.leafSizesLog2.filter((s) => s < format.vaBits - 1).map((s) => 2 ** (s - 12));
  }

  at(page: number): OracleLeaf | undefined {
    return this.leaves.find((l) => l.page <= page && page < l.page + l.pages);
  }

  overlapping(page: number, pages: number): OracleLeaf[] {
    return this.leaves.filter((l) => l.page < page + pages && page < l.page + l.pages);
  }

  /** `false`, and nothing is changed, if something is there. */
  map(
    page: number,
    frame: number,
    pages: number,
    protection: Protection,
    noted: { dirty: boolean; accessed: boolean },
  ): boolean {
    if (this.overlapping(page, pages).length > 0) return false;
    for (let done = 0; done < pages; ) {
      const size = this.#largest(page + done, frame + done, pages - done);
      this.leaves.push({ page: page + done, frame: frame + done, pages: size, protection, ...noted });
      done += size;
    }
    this.#sort();
    return true;
  }

  /** Pages that are gone. */
  unmap(page: number, pages: number): number {
    let at = page;
    while (at < page + pages) {
      const leaf = this.at(at);
      if (leaf?.page !== at) break;
      this.leaves.splice(this.leaves.indexOf(leaf), 1);
      at += leaf.pages;
    }
    return at - page;
  }

  /** `ENOENT`, `EINVAL` or `ok`, as {@link PageTable.protect}. */
  protect(page: number, pages: number, protection: Protection): string {
    const found = this.overlapping(page, pages);
    let at = page;
    for (const leaf of found) {
      if (leaf.page > at) return "ENOENT";
      if (leaf.page < page || leaf.page + leaf.pages > page + pages) return "EINVAL";
      at = leaf.page + leaf.pages;
    }
    if (at < page + pages) return "ENOENT";
    for (const leaf of found) leaf.protection = protection;
    return "ok";
  }

  /** Cuts the leaf at `page` in two, or in as many as a table has entries, until it is small enough. */
  split(page: number, pages: number, steps: readonly number[]): string {
    const leaf = this.at(page);
    if (!leaf) return "ENOENT";
    for (const size of steps.toReversed().filter((s) => s >= pages && s < leaf.pages)) this.#cut(page, size);
    return "ok";
  }

  /** The frame that an access reaches, or -1; marks the leaf. */
  access(page: number, access: "read" | "write"): number {
    const leaf = this.at(page);
    if (!leaf || (access === "write" && !leaf.protection.write)) return -1;
    leaf.accessed = true;
    leaf.dirty ||= access === "write";
    return leaf.frame + page - leaf.page;
  }

  /** Where the leaves begin that are marked. */
  sweep(page: number, pages: number, which: "accessed" | "dirty", clear: boolean): number[] {
    const touched = this.overlapping(page, pages).filter((l) => l[which]);
    if (clear) for (const leaf of touched) leaf[which] = false;
    return touched.map((l) => l.page);
  }

  #cut(page: number, size: number): void {
    const leaf = this.at(page) as OracleLeaf;
    this.leaves.splice(this.leaves.indexOf(leaf), 1);
    for (let done = 0; done < leaf.pages; done += size)
      this.leaves.push({ ...leaf, page: leaf.page + done, frame: leaf.frame + done, pages: size });
    this.#sort();
  }

  #largest(page: number, frame: number, pages: number): number {
    return this.#sizes.findLast((s) => page % s === 0 && frame % s === 0 && s <= pages) as number;
  }

  #sort(): void {
    this.leaves.sort((a, b) => a.page - b.page);
  }
}
