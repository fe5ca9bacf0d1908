/** A cache of translations in software: as hardware's, it answers what it once saw until it is flushed. */
import type { PageTable } from "./page-table.js";

/** How a cache is made. */
export interface SoftwareTlbOptions {
  /** A power of two. @defaultValue 4096, which cover 16 MiB */
  readonly entries?: number;
}

/** No page has this number, nor does it equal itself. */
const NOTHING = NaN;

/**
 * Direct-mapped, a page an entry, in front of {@link PageTable.lookup}: faster where addresses come again, slower where
 * they do not. Whoever unmaps flushes, or the old answer stays. Pages that are not mapped are not
 * cached.
 * @example
 * const memory = createTableMemory({ basePhys: addr<PhysAddr>(0), sizeBytes: 8 * 4096 });
 * const table = createPageTable(ept, memory);
 * table.map(0x1000, addr<PhysAddr>(0x8000), 4096, { read: true, write: true });
 * const tlb = new SoftwareTlb(table);
 * tlb.lookup(0x1008); // 0x8008
 * table.unmap(0x1000, 4096);
 * tlb.lookup(0x1008); // 0x8008
 * tlb.flush();
 * tlb.lookup(0x1008); // -1
 */
export class SoftwareTlb {
  readonly #table: PageTable;
  readonly #mask: number;
  /** Page number of the address, and of where it leads. */
  readonly #tags: Float64Array;
  readonly #frames: Float64Array;

  /** @throws RangeError for a number of entries that is no power of two. */
  constructor(table: PageTable, { entries = 4096 }: SoftwareTlbOptions = {}) {
    if (!(entries >= 1 && Number.isInteger(Math.log2(entries))))
      throw new RangeError(`entries ${entries}: give a power of two`);
    this.#table = table;
    this.#mask = entries - 1;
    this.#tags = new Float64Array(entries).fill(NOTHING);
    this.#frames = new Float64Array(entries);
  }

  /** The physical byte at `va`, or -1. */
  lookup(va: number): number {
    const page = Math.floor(va / 4096);
    const slot = page & this.#mask;
    if (this.#tags[slot] === page) return (this.#frames[slot] as number) + (va - page * 4096);
    const found = this.#table.lookup(va);
    if (found < 0) return -1;
    this.#tags[slot] = page;
    this.#frames[slot] = found - (va - page * 4096);
    return found;
  }

  /** Forgets everything. */
  flush(): void {
    this.#tags.fill(NOTHING);
  }
}
