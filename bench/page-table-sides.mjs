// The two sides of the page-table rows: ours, and the plain walk of page-table.c. Both begin a row empty, in memory
// that was touched before, and hand their tables out in the same order, so that they can be compared bit for bit.
import { createPageTable, createTableMemory, vtdSecondStage } from "@dma-buf/page-table";

export const PAGE = 4096;
export const GIB = 2 ** 30;
/** Where every map begins to lead to. */
export const PHYSICAL = 64 * GIB;
export const RW = { read: true, write: true };

/** Where page-table.c has its pool, too: entries that lead to tables are then the same. */
const TABLES_AT = 2 ** 32;
/** For 64 GiB in 4 KiB pages: 32768 lowest tables, 64 above, and two. */
export const TABLES_64_GIB = 32_768 + 64 + 1 + 1;
const POOL_TABLES = TABLES_64_GIB + 62;

export class Sides {
  /** The page table of the row that runs. */
  table = null;
  /** C's functions, or `null`. */
  native;
  /** 2^24 entries outside of any table. */
  entries = new Float64Array(2 ** 24).fill(0);
  #memory = createTableMemory({ basePhys: TABLES_AT, sizeBytes: POOL_TABLES * PAGE });

  constructor(native) {
    this.native = native;
    // The first touch of a page is a fault of the operating system's.
    this.#memory.words.fill(0);
  }

  /** Empties both. Ours takes leaves of up to that size, as large as it can, while C takes the size that it is told. */
  begin(leafLog2 = 12, format = vtdSecondStage) {
    const leafSizesLog2 = format.leafSizesLog2.filter((log2) => log2 <= leafLog2);
    this.table?.destroy();
    this.table = createPageTable(format, this.#memory, { leafSizesLog2 });
    if (this.native && this.native.pt_tables() !== 1) must(this.native.pt_init(POOL_TABLES), POOL_TABLES);
  }

  /** Maps from address 0. */
  map(bytes) {
    this.table.map(0, PHYSICAL, bytes, RW);
    return bytes;
  }

  unmap(bytes) {
    return must(this.table.unmap(0, bytes), bytes);
  }

  mapInC(bytes, leafLog2 = 12) {
    return must(this.native.pt_map(0, PHYSICAL, bytes, leafLog2), bytes / 2 ** leafLog2);
  }

  unmapInC(bytes) {
    return must(this.native.pt_unmap(0, bytes), bytes);
  }

  /** Before anything is timed: do both write the same bits, in as many tables? */
  check(bytes) {
    const { native, table } = this;
    for (const va of [0, PAGE, bytes / 2 + 5 * PAGE, bytes - PAGE]) {
      const { kind, steps } = table.translate(va, "read");
      const same = steps.every(({ level, entry }) => entry === native.pt_entry(va, level));
      if (kind !== "hit" || !same) throw new Error(`at ${va}, the entries are not C's`);
    }
    must(table.tables, native.pt_tables());
  }
}

/** A row that does something else than it says is worth nothing. */
export function must(value, expected) {
  if (value !== expected) throw new Error(`${value} instead of ${expected}`);
  return value;
}
