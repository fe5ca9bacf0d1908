/** What a map costs in table pages, entries and bytes: exact, so that a change that costs more is seen. Times are not. */
import { describe, expect, it } from "vitest";
import type { Format } from "./format.js";
import { amdV1, ept, formats, vtdSecondStage } from "./index.js";
import { createTableMemory } from "./memory.js";
import { createPageTable, type PageTable, type PageTableOptions } from "./page-table.js";
import { phys, RW } from "./testing.js";

const [K4, M2, G1, T1] = [0x1000, 0x20_0000, 0x4000_0000, 2 ** 40];

function mapped(format: Format, sizeBytes: number, options: PageTableOptions = {}): PageTable {
  const memory = createTableMemory({ basePhys: phys(2 ** 32), sizeBytes: 2 ** 28 });
  const table = createPageTable(format, memory, options);
  table.map(16 * T1, phys(4 * T1), sizeBytes, RW);
  expect(memory.liveTables).toBe(table.tables);
  return table;
}

function cost(format: Format, sizeBytes: number, options?: PageTableOptions): { tables: number; leaves: number } {
  const table = mapped(format, sizeBytes, options);
  return { tables: table.tables, leaves: [...table.leaves()].length };
}

describe("table pages", () => {
  it("64 GiB in 4 KiB pages: 8 bytes a page, and a 512th for the tables above", () => {
    const { tables } = mapped(vtdSecondStage, 64 * G1, { leafSizesLog2: [12] });
    expect([tables, (tables * K4) / ((64 * G1) / K4)]).toEqual([1 + 1 + 64 + 64 * 512, 8.01611328125]);
  });

  const rows: [Format, number, number, number][] = [
    [vtdSecondStage, K4, 4, 1],
    [vtdSecondStage, M2, 3, 1],
    [vtdSecondStage, G1, 2, 1],
    [vtdSecondStage, T1, 3, 1024],
    [vtdSecondStage, 64 * G1 + M2 + K4, 4, 66],
    [ept, T1, 3, 1024],
    // 1 TiB stands in two entries of level 3, as AMD has no 512 GiB; 512 GiB are two leaves of 256 entries each.
    [amdV1, T1, 2, 1],
    [amdV1, T1 / 2, 3, 2],
    [amdV1, 64 * G1 + M2 + K4, 5, 3],
  ];
  it.each(rows.map(([format, ...row]) => ({ id: format.id, format, row })))("$id: $row", ({ format, row }) => {
    const [sizeBytes, tables, leaves] = row;
    expect(cost(format, sizeBytes)).toEqual({ tables, leaves });
  });

  it.each(formats.map((f) => [f.id, f] as const))("%s: linear in leaves, flat in what a leaf covers", (_id, format) => {
    const per = [512, 1024, 4096].map((n) => cost(format, n * K4, { leafSizesLog2: [12] }).tables);
    const above = (per[0] as number) - 1;
    expect(per).toEqual([above + 1, above + 2, above + 8]);
    const flat = [12, 21].map(
      (log2) => cost(format, 512 * 2 ** log2, { leafSizesLog2: [...new Set([12, log2])] }).leaves,
    );
    expect(flat).toEqual([512, 512]);
  });
});

describe("entries written", () => {
  it.each<[string, number, number]>([
    ["one page", K4, 1 + 3],
    ["2 MiB in pages", M2, 512 + 3],
    ["1 GiB in pages", G1, 512 * 512 + 2 + 512],
  ])("%s: %i bytes, %i entries, each once", (_name, sizeBytes, expected) => {
    let stores = 0;
    const memory = createTableMemory({ basePhys: phys(2 ** 32), sizeBytes: 2 ** 24 });
    const table = createPageTable(vtdSecondStage, memory, { leafSizesLog2: [12], onStore: () => void stores++ });
    table.map(G1, phys(G1), sizeBytes, RW);
    expect(stores).toBe(expected);
    stores = 0;
    table.unmap(G1, sizeBytes);
    // Each leaf is cleared, and the entry of each table that the range covers whole.
    expect(stores).toBe(sizeBytes / K4 + (sizeBytes === G1 ? 512 + 1 : sizeBytes === M2 ? 1 : 0));
  });
});
