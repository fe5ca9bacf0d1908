import { errnoOf } from "@dma-buf/config/refusal";
import { addr, type PhysAddr } from "@dma-buf/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createPageTable, type PageTable } from "./engine.js";
import type { Format, Protection } from "./format.js";
import { ept } from "./formats/ept.js";
import { vtdSecondStage } from "./formats/vtd-second-stage.js";
import { createTableMemory } from "./memory.js";

const RW: Protection = { read: true, write: true };
const phys = (n: number): PhysAddr => addr<PhysAddr>(n);

function kit(format: Format = vtdSecondStage, tables = 64) {
  const memory = createTableMemory({ basePhys: phys(0x1000_0000), sizeBytes: tables * 4096 });
  return { memory, table: createPageTable(format, memory) };
}

const bits = ({ lo, hi }: { lo: number; hi: number }): string =>
  `0x${((BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0)).toString(16)}`;

/** Leaf sizes in order, as `log2 x count`. */
function split(table: PageTable): string {
  const sizes = [...table.leaves()].map((l) => Math.log2(l.sizeBytes));
  const runs: [number, number][] = [];
  for (const size of sizes) {
    const last = runs.at(-1);
    if (last?.[0] === size) last[1]++;
    else runs.push([size, 1]);
  }
  return runs.map(([size, n]) => `${size}x${n}`).join(" ");
}

describe("entries, bit for bit", () => {
  it.each([
    [0x1234_5000, 0x1000, RW, "0x12345003"],
    [0x1220_0000, 0x20_0000, { read: true, write: false }, "0x12200081"],
    [0x4000_0000, 0x4000_0000, RW, "0x40000083"],
    [0x40_1234_5000, 0x1000, { read: false, write: true }, "0x4012345002"],
  ])("VT-d second stage: %x, %x bytes", (physical, size, protection, expected) => {
    const { table } = kit();
    table.map(physical, phys(physical), size, protection);
    expect([...table.leaves()].map((l) => bits(l.entry))).toEqual([expected]);
  });

  it.each([
    [0x40_0000_0000, 0x1000, { ...RW, cache: "uc" as const }, "0x8000004000000003"],
    [0x1220_0000, 0x20_0000, { ...RW, execute: true, cache: "wb" as const }, "0x80000000122000b7"],
    [0x1234_5000, 0x1000, { read: true, write: false, cache: "wc" as const }, "0x8000000012345009"],
  ])("EPT: %x, %x bytes", (physical, size, protection, expected) => {
    const { table } = kit(ept);
    table.map(physical, phys(physical), size, protection);
    expect([...table.leaves()].map((l) => bits(l.entry))).toEqual([expected]);
  });

  it.each([
    [vtdSecondStage, 0x3],
    [ept, 0x107],
  ] as const)("$id: a table entry is its address and its flags", (format, flags) => {
    const { memory, table } = kit(format);
    table.map(0, phys(0x5000), 0x1000, RW);
    expect(bits({ lo: memory.words[0] as number, hi: memory.words[1] as number })).toBe(
      `0x${(0x1000_1000 + flags).toString(16)}`,
    );
  });
});

describe("leaf sizes, by alignment and length", () => {
  it.each([
    [0x1f_f000, 0x1_003f_f000, 0x40_2000, "12x1 21x2 12x1"],
    [0x20_0000, 0x1_0020_0000, 0x4000_0000, "21x512"],
    [0x4000_0000, 0x1_8000_0000, 0x4020_1000, "30x1 21x1 12x1"],
    [0x1_0000, 0x3_0000, 0x3_0000, "12x48"],
    [0x20_1000, 0x1_0000_0000, 0x40_0000, "12x1024"],
    [0x80_0000_0000, 0x80_0000_0000, 0x80_0000_0000, "30x512"],
  ])("iova %x, physical %x, %x bytes: %s", (va, physical, size, expected) => {
    const { table } = kit();
    table.map(va, phys(physical), size, RW);
    expect(split(table)).toBe(expected);
  });
});

describe("refusals leave nothing behind", () => {
  it.each<[string, number, number, number, Protection, string]>([
    ["no permission", 0, 0, 0x1000, { read: false, write: false }, "EINVAL"],
    ["physical too wide", 0, 2 ** 52, 0x1000, RW, "ERANGE"],
    ["empty", 0, 0, 0, RW, "EINVAL"],
    ["wraps", Number.MAX_SAFE_INTEGER - 4095, 0, 0x2000, RW, "EOVERFLOW"],
    ["va unaligned", 0x800, 0, 0x1000, RW, "ENXIO"],
    ["less than a page", 0, 0, 0x800, RW, "ENXIO"],
    ["va too wide", 2 ** 48, 0, 0x1000, RW, "ERANGE"],
  ])("%s", (_name, va, physical, size, protection, code) => {
    const { memory, table } = kit();
    expect(errnoOf(() => table.map(va, phys(physical), size, protection))).toBe(code);
    expect(memory.liveTables).toBe(1);
  });

  it.each([
    [0x3000, 0x1000],
    [0x20_0000, 0x20_0000],
  ])("something mapped at %x in the middle", (va, size) => {
    const { memory, table } = kit();
    table.map(va, phys(0x4000_0000), size, RW);
    const before = memory.words.slice();
    expect(errnoOf(() => table.map(0, phys(0x8000_0000), 0x40_0000, RW))).toBe("EADDRINUSE");
    expect(memory.words).toEqual(before);
  });

  it("no table page left, at any of them", () => {
    // 0x3ff000 of 0x401000 bytes from an odd page need a leaf table at each end: 1 root + 2 + 2.
    const map = (table: PageTable): void => table.map(0x3fff_f000, phys(0x1000), 0x2000, RW);
    const need = kit();
    map(need.table);
    for (let tables = 1; tables < need.memory.liveTables; tables++) {
      const { memory, table } = kit(vtdSecondStage, tables);
      expect(errnoOf(() => map(table))).toBe("ENOMEM");
      expect([memory.liveTables, memory.words.some((w) => w !== 0)]).toEqual([1, false]);
    }
  });
});

describe("unmap", () => {
  it("stops at a hole and inside a leaf, and takes a leaf that ends later whole", () => {
    const { table } = kit();
    table.map(0x20_0000, phys(0x20_0000), 0x20_0000, RW);
    table.map(0x40_0000, phys(0x1000), 0x1000, RW);
    expect([table.unmap(0x20_1000, 0x1000), table.unmap(0x40_1000, 0x1000), table.unmap(0x20_0000, 0x1000)]).toEqual([
      0, 0, 0x20_0000,
    ]);
  });
});

describe.each([vtdSecondStage, ept])("$id against a plain map of pages", (format) => {
  const op = fc.record({
    map: fc.boolean(),
    page: fc.integer({ min: 0, max: 1100 }),
    pages: fc.integer({ min: 1, max: 600 }),
    frame: fc.integer({ min: 1, max: 2000 }),
  });
  it("agrees after any sequence, and gives every table back", () => {
    fc.assert(
      fc.property(fc.array(op, { maxLength: 12 }), (ops) => {
        const { memory, table } = kit(format);
        const oracle = new Map<number, number>();
        for (const { map, page, pages, frame } of ops) {
          const range = Array.from({ length: pages }, (_, i) => page + i);
          if (map) {
            const free = range.every((p) => !oracle.has(p));
            expect(errnoOf(() => table.map(page * 4096, phys(frame * 4096), pages * 4096, RW))).toBe(
              free ? "ok" : "EADDRINUSE",
            );
            if (free) for (const [i, p] of range.entries()) oracle.set(p, frame + i);
          } else {
            const gone = table.unmap(page * 4096, pages * 4096) / 4096;
            for (let i = 0; i < gone; i++) expect(oracle.delete(page + i)).toBe(true);
          }
        }
        for (let page = 0; page < 1700; page += 7) {
          const found = table.translate(page * 4096 + 5, "read");
          const frame = oracle.get(page);
          expect(found.kind === "hit" ? found.physical : null).toBe(frame === undefined ? null : frame * 4096 + 5);
        }
        for (const leaf of Array.from(table.leaves())) table.unmap(leaf.va, leaf.sizeBytes);
        expect([memory.liveTables, memory.words.some((w) => w !== 0)]).toEqual([1, false]);
        table.destroy();
        expect(memory.liveTables).toBe(0);
      }),
      { numRuns: 60 },
    );
  });
});

it("a walk says why it faults", () => {
  const { table } = kit();
  table.map(0x1000, phys(0x5000), 0x1000, { read: true, write: false });
  expect(table.translate(0x1000, "write")).toMatchObject({ kind: "fault", reason: "permission", level: 0 });
  expect(table.translate(0x2000, "read")).toMatchObject({ kind: "fault", reason: "not-present", level: 0 });
  expect(table.translate(2 ** 48, "read")).toMatchObject({ kind: "fault", reason: "address-width" });
});
