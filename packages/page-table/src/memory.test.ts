import { errnoOf } from "@dma-buf/config/refusal";
import type { PhysAddr } from "@dma-buf/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createTableMemory, failNth } from "./memory.js";
import { phys } from "./testing.js";

const pool = (tables: number): ReturnType<typeof createTableMemory> =>
  createTableMemory({ basePhys: phys(0x10_0000), sizeBytes: tables * 4096 });

describe("a pool", () => {
  it("hands out the lowest table that is free, zero, whatever was done before", () => {
    const op = fc.record({ take: fc.boolean(), row: fc.constantFrom(1, 1, 1, 2, 4), which: fc.nat() });
    fc.assert(
      fc.property(fc.array(op, { maxLength: 80 }), (ops) => {
        // From a multiple of four tables on, so that rows are where they would be without a base.
        const memory = pool(70);
        const out: { table: number; row: number }[] = [];
        const isFree = (table: number): boolean => !out.some((o) => o.table <= table && table < o.table + o.row);
        for (const { take, row, which } of ops) {
          const aligned = Array.from({ length: 70 }, (_, i) => i).filter((i) => i % row === 0 && i + row <= 70);
          const lowest = aligned.find((i) => Array.from({ length: row }, (_, n) => i + n).every(isFree));
          if (take && lowest === undefined) expect(errnoOf(() => memory.allocTable(row))).toBe("ENOMEM");
          else if (take) {
            const table = (memory.allocTable(row) - memory.basePhys) / 4096;
            expect(table).toBe(lowest);
            expect(memory.words.subarray(table * 1024, (table + row) * 1024).some((w) => w !== 0)).toBe(false);
            memory.words.fill(7, table * 1024, (table + row) * 1024);
            out.push({ table, row });
          } else if (out.length > 0) {
            const [gone] = out.splice(which % out.length, 1);
            memory.freeTable(phys(memory.basePhys + (gone?.table ?? 0) * 4096), gone?.row);
          }
          expect(memory.liveTables).toBe(out.reduce((n, o) => n + o.row, 0));
        }
      }),
      { numRuns: 60 },
    );
  });

  it("its two views are the same bytes", () => {
    const memory = pool(1);
    memory.words[0] = 3;
    expect(new BigUint64Array(memory.doubles.buffer)[0]).toBe(3n);
  });

  it.each<[string, (m: ReturnType<typeof pool>, t: PhysAddr) => unknown]>([
    ["given back twice", (m, t) => [m.freeTable(t), m.freeTable(t)]],
    ["never handed out", (m, t) => m.freeTable(phys(t + 4096))],
    ["outside", (m) => m.freeTable(phys(0))],
    ["in the middle of one", (m, t) => m.freeTable(phys(t + 2048))],
    ["not a number", (m) => m.freeTable(NaN as PhysAddr)],
    ["far away", (m, t) => m.freeTable(phys(t + 2 ** 44))],
    ["two, of which one was handed out", (m, t) => m.freeTable(t, 2)],
  ])("refuses a table that was %s, and keeps count", (_name, act) => {
    const memory = pool(40);
    const table = memory.allocTable();
    expect(() => act(memory, table)).toThrow("is not a table that was handed out: give back once");
    expect([memory.allocTable(), memory.liveTables]).toEqual(memory.liveTables === 1 ? [0x10_0000, 1] : [0x10_1000, 2]);
  });

  it.each([
    [{ basePhys: -4096 as PhysAddr, sizeBytes: 4096 }, "basePhys -4096 is no address"],
    [{ basePhys: (2 ** 60) as PhysAddr, sizeBytes: 4096 }, "is no address: give a whole number from 0 to 2^53 - 1"],
    [{ basePhys: phys(0x800), sizeBytes: 4096 }, "basePhys 0x800 is no multiple of 4096: align it"],
    [{ basePhys: phys(0), sizeBytes: 0 }, "sizeBytes 0: a pool has a multiple of 4096 bytes"],
    [{ basePhys: phys(0), sizeBytes: 100 }, "sizeBytes 100: a pool has"],
    [{ basePhys: phys(0), sizeBytes: 2 ** 33 }, "at most 2^32"],
  ])("%j: %s", (options, message) => {
    expect(() => createTableMemory(options)).toThrow(message);
  });
});

it("tables in a row are aligned in memory, and their number is a power of two", () => {
  const memory = createTableMemory({ basePhys: phys(0x3000), sizeBytes: 40 * 4096 });
  expect([memory.allocTable(16), memory.allocTable(4), memory.allocTable()]).toEqual([0x1_0000, 0x4000, 0x3000]);
  for (const bad of [0, -1, 3, 1.5, NaN]) {
    expect(() => memory.allocTable(bad)).toThrow(`${bad} tables in a row: give a power of two`);
    expect(() => memory.freeTable(phys(0x4000), bad)).toThrow("give a power of two");
  }
  expect(memory.liveTables).toBe(21);
});

it("a pool can have the memory of another, which is cleared, and must be as large", () => {
  const before = pool(4);
  before.words.fill(-1);
  const buffer = before.words.buffer as ArrayBuffer;
  const memory = createTableMemory({ basePhys: phys(0x3000), sizeBytes: 4 * 4096, buffer });
  expect([memory.words.buffer === buffer, memory.words.every((word) => word === 0), memory.liveTables]).toEqual([
    true,
    true,
    0,
  ]);
  expect(() => createTableMemory({ basePhys: phys(0x3000), sizeBytes: 8 * 4096, buffer })).toThrow("needs as many");
});

it("the n-th allocation fails, once, and says that it was told to", () => {
  const memory = failNth(pool(8), 2);
  expect(memory.allocTable()).toBe(0x10_0000);
  expect(() => memory.allocTable()).toThrow("alloc_table: ENOMEM: allocation 2 was told to fail");
  memory.freeTable(phys(0x10_0000));
  expect([memory.allocTable(), memory.liveTables]).toEqual([0x10_0000, 1]);
});
