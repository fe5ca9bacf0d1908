import { errnoOf } from "@dma-buf/config/refusal";
import { describe, expect, it } from "vitest";
import { type Format, type KnownEntry, knownLeaf, MEMORY_TYPES, type Protection } from "../format.js";
import { describe as describeProtection } from "../refuse.js";
import { addressIn, walk, type WalkStep } from "../walk.js";
import { hardwareOf, kit, phys, RO, RW } from "../testing.js";
import { amdV1, createAmdV1 } from "./amd-v1.js";
import { armStage2, createArmStage2 } from "./arm-stage2.js";
import { createEpt, ept } from "./ept.js";
import { formats } from "./index.js";
import { createRiscvSv48, riscvSv48 } from "./riscv-sv48.js";
import { createVtdSecondStage, vtdSecondStage } from "./vtd-second-stage.js";
import { createNpt, createX86 } from "./x86-64.js";

const hex = (entry: bigint): string => `0x${entry.toString(16)}`;
const [K4, K64, M2] = [0x1000, 0x1_0000, 0x20_0000];

/** What a format that is configured otherwise writes. */
const CONFIGURED: readonly [Format, KnownEntry][] = [
  [createVtdSecondStage({ forceSnoop: true }), knownLeaf(0x4000_0000, 30, RW, 0x4000_0883n)],
  [createAmdV1({ forceCoherent: true }), knownLeaf(0x1234_5000, 12, RW, 0x7000_0000_1234_5001n)],
  [createRiscvSv48({ svpbmt: false }), knownLeaf(0x1234_5000, 12, { ...RW, cache: "uc" }, 0x48d_14dfn)],
  [vtdSecondStage, knownLeaf(0x1234_5000, 12, { ...RW, cache: "uc" }, 0x1234_5003n)],
  [riscvSv48, knownLeaf(0x1220_0000, 21, { ...RO, cache: "uc" }, 0x4000_0000_0488_005bn)],
];

const known = [...formats.flatMap((f) => f.known.map((k) => [f, k] as const)), ...CONFIGURED].map(
  ([format, entry]) => ({
    name: `${format.id}: ${entry.kind} ${nameOf(entry)}`,
    format,
    known: entry,
  }),
);

function nameOf(entry: KnownEntry): string {
  const what =
    entry.kind === "leaf" ? `2^${entry.sizeLog2}, ${describeProtection(entry.protection)}` : `level ${entry.level}`;
  return `${hex(BigInt(entry.physical))}, ${what}: ${hex(entry.entry)}`;
}

describe("entries, bit for bit", () => {
  it.each(known)("$name", ({ format, known: expected }) => {
    if (expected.kind === "table") return checkTable(format, expected);
    const { physical, sizeLog2, protection, entry } = expected;
    const { table } = kit(format);
    table.map(physical, phys(physical), 2 ** sizeLog2, protection);
    expect([...table.leaves()].map((l) => [hex(l.entry), l.physical, l.sizeBytes])).toEqual([
      [hex(entry), physical, 2 ** sizeLog2],
    ]);
  });

  function checkTable(format: Format, { level, physical, entry }: KnownEntry & { kind: "table" }): void {
    // The entry's table lies elsewhere: what is left without either address must be the same.
    const { table, hardware } = kit(format);
    table.map(0x5000, phys(0x5000), K4, RW);
    const { steps } = walk(format, hardware, table, 0x5000, "read");
    const at = (n: number): WalkStep => steps.find((s) => s.level === n) as WalkStep;
    const below = at(level - 1).entryPhys - at(level - 1).index * 8;
    expect(addressIn(format, at(level).entry)).toBe(below);
    expect(addressIn(format, entry)).toBe(physical);
    expect(hex(at(level).entry & ~format.address)).toBe(hex(entry & ~format.address));
  }

  it("every registered format knows a leaf and a table", () => {
    for (const { known: rows, leafSizesLog2 } of formats) {
      expect(new Set(rows.map((k) => k.kind))).toEqual(new Set(["leaf", "table"]));
      expect(leafSizesLog2[0]).toBe(12);
    }
    expect(new Set(formats.map((f) => f.id)).size).toBe(formats.length);
  });
});

it("an AMD leaf larger than an entry stands in each that it covers", () => {
  const { memory, table } = kit(amdV1);
  table.map(0x1_0000, phys(0x3_0000), K64, RW);
  const [step] = table.translate(0x1_5000, "read").steps.toReversed();
  const hardware = hardwareOf(memory);
  const row = Array.from({ length: 18 }, (_, i) => hardware.readEntry(phys((step?.entryPhys as number) + (i - 6) * 8)));
  expect(row.map((e) => hex(e ?? -1n))).toEqual(["0x0", ...Array(16).fill("0x6000000000037e01"), "0x0"]);
});

describe.each(formats.map((f) => [f.id, f] as const))("%s", (_id, format) => {
  const can = (p: Protection): boolean => errnoOf(() => kit(format).table.map(0, phys(0), K4, p)) === "ok";
  const all = [true, false].flatMap((read) =>
    [true, false].flatMap((write) =>
      [true, false, undefined].flatMap((execute) =>
        [...MEMORY_TYPES, undefined].flatMap((cache) =>
          [true, false].map((deviceMemory) => ({
            read,
            write,
            ...(execute === undefined ? {} : { execute }),
            ...(cache === undefined ? {} : { cache }),
            ...(deviceMemory ? { deviceMemory } : {}),
          })),
        ),
      ),
    ),
  );

  it("a leaf says again what it was told, or allows reads with writes", () => {
    for (const protection of all.filter(can)) {
      const { table } = kit(format);
      table.map(0, phys(0x20_0000), K4, protection);
      const found: Protection = [...table.leaves()][0]?.protection ?? { read: false, write: false };
      const { read, write, execute, cache, deviceMemory } = found;
      expect(write).toBe(protection.write);
      expect(read || !protection.read).toBe(true);
      if (protection.execute !== undefined && execute !== undefined) expect(execute).toBe(protection.execute);
      if (protection.cache !== undefined && format.memoryTypes.length > 0) expect(cache).toBe(protection.cache);
      expect(deviceMemory === true).toBe("deviceMemory" in protection);
    }
  });

  it("and says the same among leaves of every other protection", () => {
    const [{ table }, said] = [kit(format), all.filter(can)];
    for (const [i, protection] of said.entries()) table.map(i * K4, phys(0x20_0000 + i * K4), K4, protection);
    const alone = said.map((protection) => {
      const one = kit(format).table;
      one.map(0, phys(0x20_0000), K4, protection);
      return [...one.leaves()][0]?.protection;
    });
    expect([...table.leaves()].map((l) => l.protection)).toEqual(alone);
  });

  it("refuses what it cannot say: EINVAL, and nothing is left", () => {
    for (const protection of all) {
      const { memory, table } = kit(format);
      const errno = errnoOf(() => table.map(0, phys(0), K4, protection));
      const typed = protection.cache !== undefined && format.memoryTypes.length > 0;
      const wrongType = typed && !format.memoryTypes.includes(protection.cache as never);
      const isElsewhere = "deviceMemory" in protection && format.hasDeviceMemory !== true;
      if (wrongType || isElsewhere || !(protection.read || protection.write)) expect(errno).toBe("EINVAL");
      expect(["ok", "EINVAL"]).toContain(errno);
      if (errno !== "ok") expect([memory.liveTables, [...table.leaves()]]).toEqual([table.tables, []]);
    }
  });

  it("its highest page is mapped and found by hardware", () => {
    const { table } = kit(format);
    const va = 2 ** format.vaBits - K4;
    const physical = 2 ** Math.min(format.oaBits, 52) - K4;
    table.map(va, phys(physical), K4, RW);
    expect([table.lookup(va + 9), table.translate(va + 9, "read").kind]).toEqual([physical + 9, "hit"]);
    expect(table.leaves().next().value).toMatchObject({ va, physical, sizeBytes: K4 });
  });

  it("leaves of every size, at their own level", () => {
    for (const log2 of format.leafSizesLog2.filter((s) => s < format.vaBits - 1 && s < format.oaBits)) {
      const { memory, table } = kit(format);
      const va = 2 ** log2;
      table.map(va, phys(log2 < 50 ? 2 ** log2 : 0), 2 ** log2, RW);
      expect([...table.leaves()].map((l) => [l.va, l.sizeBytes])).toEqual([[va, 2 ** log2]]);
      expect([table.lookup(va + 2 ** log2 - 1) % 2 ** log2, table.lookup(va - 1)]).toEqual([2 ** log2 - 1, -1]);
      expect(table.translate(va + 2 ** log2 - 5, "write")).toMatchObject({ kind: "hit", leafSizeBytes: 2 ** log2 });
      expect(table.unmap(va, 2 ** log2)).toBe(2 ** log2);
      table.destroy();
      expect([memory.liveTables, memory.words.some((w) => w !== 0)]).toEqual([0, false]);
    }
  });
});

/** Input and output bits; the bits that hardware sets on an access and on a write. From the manuals. */
const HARDWARE: Readonly<Record<string, readonly [number, number, bigint, bigint]>> = {
  "vtd-second-stage": [48, 52, 1n << 8n, 1n << 9n],
  "amd-v1": [48, 52, 1n << 5n, 1n << 6n],
  "x86-64": [47, 52, 1n << 5n, 1n << 6n],
  npt: [48, 52, 1n << 5n, 1n << 6n],
  ept: [48, 52, 1n << 8n, 1n << 9n],
  "arm-stage2": [48, 48, 1n << 10n, 0n],
  "riscv-sv48": [47, 53, 1n << 6n, 1n << 7n],
  "amdgpu-vm": [48, 48, 0n, 0n],
};

it.each(Object.entries(HARDWARE))("%s: widths, and what hardware sets", (id, expected) => {
  const format = formats.find((f) => f.id === id) as Format;
  expect([format.vaBits, format.oaBits, format.accessed, format.dirty]).toEqual(expected);
});

it("Arm: any bit of XN forbids execution", () => {
  expect([0n, 1n, 2n, 3n].map((xn) => armStage2.protection((xn << 53n) | 3n, 0).execute)).toEqual([
    true,
    false,
    false,
    false,
  ]);
});

describe("what the engine cannot count on is refused when a page table is made", () => {
  it.each<[string, Format]>([
    ["60 bits of input address", createAmdV1({ vaBits: 60 })],
    ["40.5 bits of input address", createAmdV1({ vaBits: 40.5 })],
    ["NaN bits of input address", createAmdV1({ vaBits: NaN })],
    ["60 bits of output address", createAmdV1({ oaBits: 60 })],
    ["NaN bits of output address", createVtdSecondStage({ oaBits: NaN })],
    ["1 levels", createAmdV1({ levels: 1 as never })],
    ["9 levels", createEpt({ levels: 9 as never })],
    ["48 bits of input address: 3 levels have 39", { ...createAmdV1({ levels: 2 }), levelsMax: 3 }],
    ["address 0x0 is no contiguous field", { ...vtdSecondStage, address: 0n }],
    ["address 0x5000 is no contiguous field", { ...vtdSecondStage, address: 0x5000n }],
    [
      "a table mark is a value under a mask within bits 31:0, or 63:32",
      { ...vtdSecondStage, tableMark: () => ({ mask: 1n | (1n << 32n), value: 0n }) },
    ],
    [
      "a table mark is a value under a mask within bits 31:0, or 63:32",
      { ...vtdSecondStage, tableMark: (level: number) => ({ mask: level === 1 ? 1n : 1n << 32n, value: 0n }) },
    ],
    [
      "a table mark is a value under a mask within bits 31:0, or 63:32",
      { ...vtdSecondStage, tableMark: () => ({ mask: 1n, value: 2n }) },
    ],
  ])("%s", (message, format) => {
    expect(() => kit(format)).toThrow(message);
  });
});

describe("what only one format refuses", () => {
  it.each<[string, Format, Protection]>([
    ["VT-d has no execute permission", vtdSecondStage, { ...RW, execute: true }],
    ["AMD v1 has none either", amdV1, { ...RW, execute: true }],
    ["EPT: write without read", ept, { read: false, write: true }],
    ["an IOMMU reaches no device's own memory", amdV1, { ...RW, deviceMemory: true }],
    ["VT-d, parent of a nested domain: read-only", createVtdSecondStage({ forceWritable: true }), RO],
    ["Arm has no write-through", armStage2, { ...RW, cache: "wt" }],
    ["no such type at all", ept, { ...RW, cache: "wx" as never }],
  ])("%s", (_name, format, protection) => {
    expect(errnoOf(() => kit(format).table.map(0, phys(0), K4, protection))).toBe("EINVAL");
  });
});

describe("configurations", () => {
  it.each<[string, Format, number, number]>([
    ["VT-d, 3 levels", createVtdSecondStage({ levels: 3 }), 3, 39],
    ["VT-d, 5 levels", createVtdSecondStage({ levels: 5 }), 5, 53],
    ["x86-64, 5 levels", createX86({ levels: 5 }), 5, 53],
    ["NPT, 5 levels", createNpt({ levels: 5 }), 5, 53],
    ["EPT, 5 levels", createEpt({ levels: 5 }), 5, 53],
    ["AMD v1, 53 bits", createAmdV1({ vaBits: 53 }), 3, 53],
    ["AMD v1, 32 bits", createAmdV1({ vaBits: 32, levels: 2 }), 2, 32],
    ["Arm, 36 bits in", createArmStage2({ iasBits: 36 }), 3, 36],
    ["Arm, 40 bits in and out: two tables for a root", createArmStage2({ iasBits: 40, oasBits: 40 }), 3, 40],
    ["Arm, 40 bits in, 42 out: two tables again", createArmStage2({ iasBits: 40, oasBits: 42 }), 3, 40],
    ["Arm, 40 bits in, 48 out: the deeper walk is kept", createArmStage2({ iasBits: 40, oasBits: 48 }), 4, 40],
  ])("%s", (_name, format, levels, vaBits) => {
    const { memory, table } = kit(format);
    expect([table.levels, format.vaBits]).toEqual([levels, vaBits]);
    const last = 2 ** vaBits - K4;
    table.map(last, phys(0x5000), K4, RW);
    table.map(0, phys(0x7000), K4, RW);
    expect([table.lookup(last), table.lookup(0), table.lookup(K4)]).toEqual([0x5000, 0x7000, -1]);
    expect([last, 0].map((va) => table.translate(va, "write").kind)).toEqual(["hit", "hit"]);
    expect(errnoOf(() => table.map(last, phys(0), M2, RW))).toBe(vaBits === 53 ? "EOVERFLOW" : "ERANGE");
    expect(memory.liveTables).toBe(table.tables);
    table.destroy();
    expect(memory.liveTables).toBe(0);
  });

  it("a concatenated root is two tables in a row, aligned to their number", () => {
    const { memory, table } = kit(createArmStage2({ iasBits: 40, oasBits: 40 }));
    expect([table.tables, memory.liveTables, table.root % 0x2000]).toEqual([2, 2, 0]);
  });

  it.each([
    ["iasBits 31: a 4 KiB granule has 32 to 48", () => createArmStage2({ iasBits: 31 })],
    [
      "iasBits 48: with 40 bits of output the root is at most 16 tables, 43 bits",
      () => createArmStage2({ oasBits: 40 }),
    ],
  ])("%s", (message, make) => {
    expect(make).toThrow(message);
  });
});
