import { errnoOf } from "@dma-buf/config/refusal";
import type { PhysAddr } from "@dma-buf/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Format, Protection } from "./format.js";
import { createAmdV1, createArmStage2, createVtdSecondStage, formats } from "./formats/index.js";
import { createTableMemory, failNth } from "./memory.js";
import { op, page, pages, Pair } from "./pair.js";
import { createPageTable, type PageTable } from "./page-table.js";
import { BASE, isClear, isSame, kit, miscounts, phys, RW } from "./testing.js";

const [K4, M2, G1] = [0x1000, 0x20_0000, 0x4000_0000];

/** Every format, and configurations that differ in their tables: levels, a root that grows, a root of several. */
const all: readonly (readonly [string, Format])[] = [
  ...formats.map((f) => [f.id, f] as const),
  ["vtd-second-stage, 5 levels", createVtdSecondStage({ levels: 5 })],
  ["amd-v1, from 2 levels", createAmdV1({ levels: 2, vaBits: 53 })],
  ["arm-stage2, a root of 2 tables", createArmStage2({ iasBits: 40, oasBits: 40 })],
  ["arm-stage2, a root of 16 tables", createArmStage2({ iasBits: 43, oasBits: 42 })],
];

describe.each(all)("%s against a list of leaves", (_id, format) => {
  const roots = Math.max(1, 2 ** (format.vaBits - 12 - 9 * format.levels) * Number(format.levelsMax === undefined));
  it("agrees after any sequence of operations, refuses without a trace, and gives every table back", () => {
    fc.assert(
      fc.property(fc.array(op, { maxLength: 14 }), (ops) => {
        const pair = new Pair(format);
        for (const todo of ops) {
          const { got, expected, isKept } = pair.step(todo);
          expect([todo, got, isKept]).toEqual([todo, expected, true]);
          const leaves = pair.leaves();
          expect(leaves.got).toEqual(leaves.expected);
          expect([pair.wrongPages(), miscounts(pair.kit.table)]).toEqual([[], []]);
          expect(pair.kit.memory.liveTables).toBe(pair.kit.table.tables);
        }
        const { table, memory } = pair.kit;
        if (pair.oracle.leaves.length === 0) expect(table.idleTables).toBe(table.tables - roots);
        table.destroy();
        expect([memory.liveTables, isClear(pair.kit)]).toEqual([0, true]);
      }),
      { numRuns: 40 },
    );
  });

  it("who watches sees each change of memory, and the same happens as when nobody does", () => {
    fc.assert(
      fc.property(fc.array(op, { maxLength: 10 }), (ops) => {
        const seen = new BigUint64Array(256 * 512);
        const watched = new Pair(format, { onStore: (at, entry) => (seen[(at - BASE) / 8] = entry) });
        const alone = new Pair(format);
        for (const todo of ops) {
          expect(watched.step(todo).got).toEqual(alone.step(todo).got);
          // Hardware writes past the page table.
          if (todo.do === "access") seen.set(new BigUint64Array(watched.kit.memory.words.buffer));
          expect(isSame(new Int32Array(seen.buffer), watched.kit.memory.words)).toBe(true);
        }
        expect(isSame(watched.kit.memory.words, alone.kit.memory.words)).toBe(true);
        watched.kit.table.destroy();
        expect(seen.every((entry) => entry === 0n)).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  it("map and then unmap restores, whatever was there", () => {
    fc.assert(
      fc.property(page, pages, page, (at, n, frame) => {
        const k = kit(format);
        k.table.map(2 ** 20 * K4, phys(0x5000), K4, RW);
        const before = [...k.table.leaves()];
        k.table.map(at * K4, phys(frame * K4), n * K4, RW);
        expect(k.table.unmap(at * K4, n * K4)).toBe(n * K4);
        expect([...k.table.leaves()]).toEqual(before);
        expect(k.table.unmap(2 ** 20 * K4, K4)).toBe(K4);
        expect(k.table.idleTables).toBe(k.table.tables - roots);
      }),
      { numRuns: 40 },
    );
  });

  it("the n-th table that cannot be had leaves nothing behind, for every n", () => {
    // From the last page below 1 GiB to the first 2 MiB beyond the reach of AMD's first root, with large leaves between.
    const [va, size] = [G1 - K4, G1 + K4 + M2 + K4];
    const far = 2 ** 39 - M2;
    const run = (table: PageTable): void => {
      table.map(va, phys(va), size, RW);
      table.map(far, phys(0x7000), 2 * M2, RW);
    };
    const whole = kit(format);
    run(whole.table);
    // The root was there before; one of several tables is one allocation.
    for (let n = 2; n <= whole.table.tables - roots + 1; n++) {
      const memory = createTableMemory({ basePhys: BASE, sizeBytes: 256 * K4 });
      const table = createPageTable(format, failNth(memory, n));
      expect([n, errnoOf(() => run(table))]).toEqual([n, "ENOMEM"]);
      const left = [...table.leaves()].reduce((sum, l) => sum + l.sizeBytes, 0);
      expect([0, size]).toContain(left);
      expect([miscounts(table), memory.liveTables]).toEqual([[], table.tables]);
      if (left === 0) expect([table.tables, memory.words.every((w) => w === 0)]).toEqual([roots, true]);
      table.destroy();
      expect(memory.liveTables).toBe(0);
    }
  });

  it.each<[string, number, number, number, Protection, string]>([
    ["no permission", 0, 0, K4, { read: false, write: false }, "EINVAL"],
    ["physical too wide, before empty", 0, 2 ** 53 - K4, 0, RW, format.oaBits === 53 ? "EINVAL" : "ERANGE"],
    ["ends beyond the physical width", 0, 2 ** format.oaBits - K4, 2 * K4, RW, "ERANGE"],
    ["empty", 0, 0, 0, RW, "EINVAL"],
    ["wraps", 2 ** 53 - K4, 0, 2 * K4, RW, "EOVERFLOW"],
    ["va unaligned", 0x800, 0, K4, RW, "ENXIO"],
    ["physical unaligned", 0, 0x10, K4, RW, "ENXIO"],
    ["less than a page", 0, 0, 0x800, RW, "ENXIO"],
    ["a page and a half", 0, 0, 0x1800, RW, "ENXIO"],
    ["va too wide", 2 ** format.vaBits, 0, K4, RW, format.vaBits === 53 ? "EOVERFLOW" : "ERANGE"],
    ["ends beyond the va width", 2 ** format.vaBits - K4, 0, 2 * K4, RW, format.vaBits === 53 ? "EOVERFLOW" : "ERANGE"],
    ["negative", -K4, 0, K4, RW, "EINVAL"],
    ["half a byte", 0.5, 0, K4, RW, "EINVAL"],
    ["not a number", NaN, 0, K4, RW, "EINVAL"],
    ["infinite", Infinity, 0, K4, RW, "EINVAL"],
    ["beyond exact numbers", 2 ** 60, 0, K4, RW, "EOVERFLOW"],
  ])("refuses to map: %s", (_name, va, physical, size, allowed, code) => {
    const k = kit(format);
    k.table.map(4 * M2, phys(0), K4, RW);
    const before = k.memory.words.slice();
    expect(errnoOf(() => k.table.map(va, physical as PhysAddr, size, allowed))).toBe(code);
    expect([isSame(k.memory.words, before), k.memory.liveTables]).toEqual([true, k.table.tables]);
  });
});
