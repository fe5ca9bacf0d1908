import { errnoOf } from "@dma-buf/config/refusal";
import { describe, expect, it } from "vitest";
import { drawWalk } from "./draw.js";
import { dump, dumpLine } from "./dump.js";
import type { Access, Format } from "./format.js";
import {
  amdgpuVm,
  amdV1,
  createArmStage2,
  createEpt,
  ept,
  formats,
  npt,
  riscvSv48,
  vtdSecondStage,
  x86,
} from "./index.js";
import { BASE, hardwareOf, kit, type Kit, phys, RO, RW } from "./testing.js";
import { walk } from "./walk.js";

const [K4, M2] = [0x1000, 0x20_0000];

/** A kit with one page at 0 and the address of each entry on the way to it, the root's first. */
function onePage(format: Format): Kit & { at: readonly number[]; go: (access: Access, va?: number) => string } {
  const k = kit(format);
  k.table.map(0, phys(0x5000), K4, RW);
  const at = k.table.translate(0, "read").steps.map((s) => s.entryPhys as number);
  const go = (access: Access, va = 8): string => {
    const found = walk(format, k.hardware, k.table, va, access);
    return found.kind === "hit" ? `hit ${found.physical.toString(16)}` : `${found.reason}@${found.level}`;
  };
  return { ...k, at, go };
}

const change = (k: Kit, at: number, by: (entry: bigint) => bigint): void =>
  k.hardware.writeEntry?.(phys(at), by(k.hardware.readEntry(phys(at)) as bigint));

describe("a walk says why it faults", () => {
  it("nothing there, and too many bits", () => {
    const k = onePage(vtdSecondStage);
    expect([k.go("read"), k.go("read", K4), k.go("read", 2 ** 39), k.go("read", 2 ** 48), k.go("read", -1)]).toEqual([
      "hit 5008",
      "not-present@0",
      "not-present@3",
      "address-width@3",
      "address-width@3",
    ]);
  });

  it("an address above what AMD's root covers, until it grows", () => {
    const k = onePage(amdV1);
    expect(k.go("read", 2 ** 39)).toBe("address-width@2");
    k.table.map(2 ** 39, phys(0x9000), K4, RW);
    expect([k.go("read", 2 ** 39 + 1), k.go("read", 8), k.table.levels]).toEqual(["hit 9001", "hit 5008", 4]);
  });

  it.each<[string, Format, bigint, bigint, string, string, string]>([
    // format, bit of the table entry to take out, of the leaf; then write and read with the table's, read with the leaf's gone
    ["VT-d", vtdSecondStage, 2n, 2n, "permission@0", "hit 5008", "hit 5008"],
    ["AMD v1", amdV1, 1n << 62n, 1n << 62n, "permission@0", "hit 5008", "hit 5008"],
    ["x86-64", x86, 2n, 2n, "permission@0", "hit 5008", "hit 5008"],
    ["EPT", ept, 2n, 2n, "permission@0", "hit 5008", "hit 5008"],
  ])("%s: a table on the way, or the leaf, forbids writes", (_name, format, inTable, inLeaf, ...expected) => {
    const k = onePage(format);
    change(k, k.at[1] as number, (e) => e & ~inTable);
    const withTable = [k.go("write"), k.go("read")];
    change(k, k.at[1] as number, (e) => e | inTable);
    expect(k.go("write")).toBe("hit 5008");
    change(k, k.at.at(-1) as number, (e) => e & ~inLeaf);
    expect([...withTable, k.go("read"), k.go("write")]).toEqual([...expected, "permission@0"]);
  });

  it("a table on the way forbids reads", () => {
    const k = onePage(vtdSecondStage);
    change(k, k.at[1] as number, (e) => e & ~1n);
    expect([k.go("read"), k.go("write")]).toEqual(["permission@0", "hit 5008"]);
    const found = walk(vtdSecondStage, k.hardware, k.table, 8, "write");
    expect(found.kind === "hit" && found.protection).toEqual({ read: false, write: true });
  });

  it("an address that is none, and a root of other levels than the format's", () => {
    const k = onePage(vtdSecondStage);
    expect([k.go("read", 0.5), k.go("read", NaN)]).toEqual(["address-width@3", "address-width@3"]);
    const from = { root: phys(k.at[1] as number), levels: 3 };
    expect(walk(vtdSecondStage, k.hardware, from, 8, "read").kind).toBe("hit");
    expect(walk(vtdSecondStage, k.hardware, from, 2 ** 39, "read")).toMatchObject({ reason: "address-width" });
    for (const levels of [0, -3, 1.5, NaN, 7]) {
      expect(() => walk(vtdSecondStage, k.hardware, { ...from, levels }, 8, "read")).toThrow("hardware has 1 to 6");
      expect(() => [...dump(vtdSecondStage, k.hardware, { ...from, levels })]).toThrow("hardware has 1 to 6");
    }
  });

  it("execute, where the leaf or a table on the way forbids it", () => {
    const k = onePage(npt);
    expect(k.go("execute")).toBe("permission@0");
    change(k, k.at.at(-1) as number, (e) => e & ~(1n << 63n));
    expect(k.go("execute")).toBe("hit 5008");
    change(k, k.at[0] as number, (e) => e | (1n << 63n));
    expect(k.go("execute")).toBe("permission@0");
  });

  it.each<[string, Format, number, (entry: bigint) => bigint, string]>([
    ["EPT: write without read", ept, -1, (e) => e & ~1n, "malformed@0"],
    ["EPT: memory type 7", ept, -1, (e) => e | 0x38n, "malformed@0"],
    ["EPT: a table entry with a memory type", ept, 1, (e) => e | 8n, "malformed@2"],
    ["EPT: a leaf at level 3", ept, 0, (e) => e | 0x80n, "malformed@3"],
    ["EPT: an address above MAXPHYADDR", createEpt({ oaBits: 39 }), -1, (e) => e | (1n << 45n), "malformed@0"],
    ["EPT: a large leaf at a small address", ept, 2, (e) => e | 0x80n, "malformed@1"],
    ["x86-64: a large leaf at a small address", x86, 2, (e) => e | 0x80n | (1n << 13n), "malformed@1"],
    ["x86-64: a leaf at level 3", x86, 0, (e) => e | 0x80n, "malformed@3"],
    ["RISC-V: a large leaf at a small address", riscvSv48, 2, (e) => e | 2n, "malformed@1"],
    ["RISC-V: a table below the lowest level", riscvSv48, -1, () => 0x401n, "malformed@0"],
    ["RISC-V: a table entry with bits of a leaf", riscvSv48, 1, (e) => e | 0x40n, "malformed@2"],
    ["RISC-V: an address of 56 bits", riscvSv48, -1, (e) => e | (1n << 53n), "malformed@0"],
    ["AMD v1: a level is left out", amdV1, 0, (e) => (e & ~0xe00n) | 0x200n, "malformed@2"],
    ["RISC-V: write without read", riscvSv48, -1, (e) => e & ~2n, "malformed@0"],
    ["RISC-V: memory type 3", riscvSv48, -1, (e) => e | (3n << 61n), "malformed@0"],
    ["Arm: a block at the lowest level", formats[5] as Format, -1, (e) => e & ~2n, "malformed@0"],
    ["Arm: a block at the root", formats[5] as Format, 0, (e) => e & ~2n, "malformed@3"],
  ])("%s", (_name, format, which, by, expected) => {
    const k = onePage(format);
    change(k, k.at.at(which) as number, by);
    expect(k.go("read")).toBe(expected);
  });

  it("GPUVM: a directory entry that is handled as a PTE ends the walk; in the lowest table the bit means nothing", () => {
    const k = onePage(amdgpuVm);
    change(k, k.at[3] as number, (e) => e | (1n << 54n));
    expect(k.go("write")).toBe("hit 5008");
    change(k, k.at[2] as number, (e) => e | (1n << 54n) | (1n << 5n));
    expect([k.go("read"), k.go("write")]).toEqual(["hit 10000008", "permission@1"]);
  });

  it("a table that points outside its memory", () => {
    const k = onePage(vtdSecondStage);
    change(k, k.at[1] as number, () => 0x9_9999_9003n);
    const found = walk(vtdSecondStage, k.hardware, k.table, 8, "read");
    expect(found).toMatchObject({ kind: "fault", reason: "no-memory", level: 1, detail: "no memory at 0x999999000" });
    expect(found.steps.length).toBe(2);
  });

  it("a table that points to itself is read once for each level, and no more", () => {
    const k = onePage(vtdSecondStage);
    change(k, BASE, () => BigInt(BASE) + 3n);
    const found = walk(vtdSecondStage, k.hardware, k.table, 8, "read");
    // The root is its own lowest table: its first entry, as a leaf, is the root itself.
    expect([found.kind, found.steps.length, found.kind === "hit" && found.physical]).toEqual(["hit", 4, BASE + 8]);
  });
});

const [noting, silent] = [formats.filter((f) => f.accessed !== 0n), formats.filter((f) => f.accessed === 0n)];

it.each(silent.map((f) => [f.id, f] as const))("%s: hardware notes nothing, and nobody may ask", (_id, format) => {
  const k = kit(format);
  k.table.map(0, phys(0), K4, RW);
  const before = [...k.table.leaves()];
  walk(format, k.hardware, k.table, 8, "write");
  expect([...k.table.leaves()]).toEqual(before);
  expect(before.map((l) => [l.accessed, l.dirty])).toEqual([[false, false]]);
  expect(errnoOf(() => k.table.readAndClearAccessed(0, K4))).toBe("EOPNOTSUPP");
  expect(errnoOf(() => k.table.readAndClearDirty(0, K4))).toBe("EOPNOTSUPP");
});

describe.each(noting.map((f) => [f.id, f] as const))("%s: what hardware notes", (_id, format) => {
  it("accessed by any access, dirty by a write, in the one entry it read; software sees it and takes it off", () => {
    const k = kit(format);
    k.table.map(0, phys(0), 0x1_0000, { ...RW, execute: false });
    k.table.readAndClearAccessed(0, 0x1_0000);
    if (format.dirty !== 0n) k.table.readAndClearDirty(0, 0x1_0000);
    const marks = (): [boolean, boolean][] => [...k.table.leaves()].map((l) => [l.accessed, l.dirty]);
    const none = marks();
    expect(new Set(none.flat())).toEqual(new Set([false]));
    walk(format, k.hardware, k.table, 0x3008, "read");
    const read = marks();
    walk(format, k.hardware, k.table, 0x3008, "write");
    const wrote = marks();
    const which = wrote.findIndex(([accessed]) => accessed);
    expect([read[which], wrote[which]]).toEqual([
      [true, false],
      [true, format.dirty !== 0n],
    ]);
    expect(wrote.filter(([accessed]) => accessed).length).toBe(1);
    expect(k.table.readAndClearAccessed(0, 0x1_0000).length).toBe(1);
    if (format.dirty !== 0n) expect(k.table.readAndClearDirty(0, 0x1_0000).length).toBe(1);
    expect(marks()).toEqual(none);
  });
});

describe("a dump", () => {
  it("has every present entry as it stands in memory", () => {
    const { table, hardware } = kit(vtdSecondStage);
    table.map(M2 - K4, phys(0x8000_0000 - K4), K4 + M2, RO);
    expect([...dump(vtdSecondStage, hardware, table)].map(dumpLine)).toEqual([
      "level 3  0x10000000 [  0]  0x0000000010001003  va 0x0: table at 0x10001000",
      "level 2  0x10001000 [  0]  0x0000000010002003  va 0x0: table at 0x10002000",
      "level 1  0x10002000 [  0]  0x0000000010003003  va 0x0: table at 0x10003000",
      "level 0  0x10003000 [511]  0x000000007ffff001  va 0x1ff000: leaf of 4 KiB at 0x7ffff000, read",
      "level 1  0x10002000 [  1]  0x0000000080000081  va 0x200000: leaf of 2 MiB at 0x80000000, read",
    ]);
  });

  it.each(formats.map((f) => [f.id, f] as const))("%s: agrees with the leaves that were mapped", (_id, format) => {
    const { table, hardware } = kit(format);
    table.map(M2 - 0x3000, phys(0x8000_0000 - 0x3000), 2 * M2, RW);
    const seen = [...dump(format, hardware, table)].flatMap(({ is }) => (is.kind === "leaf" ? [is] : []));
    const distinct = [...new Map(seen.map((l) => [l.physical, l.sizeBytes])).entries()];
    expect(distinct).toEqual([...table.leaves()].map((l) => [l.physical, l.sizeBytes]));
  });

  it("goes through a table once a level, and says where it was shown before", () => {
    const k = onePage(vtdSecondStage);
    change(k, BASE + 8, () => k.hardware.readEntry(BASE) as bigint);
    const tables = [...dump(vtdSecondStage, k.hardware, k.table)].map(dumpLine).filter((l) => l.startsWith("level 3"));
    expect(tables.map((l) => l.split(": ")[1])).toEqual(["table at 0x10001000", "table at 0x10001000, shown before"]);
    const self = onePage(vtdSecondStage);
    change(self, BASE, () => BigInt(BASE) + 3n);
    expect([...dump(vtdSecondStage, self.hardware, self.table)].map((e) => e.level)).toEqual([3, 2, 1, 0]);
  });

  it("has all of a root of several tables", () => {
    const format = createArmStage2({ iasBits: 43, oasBits: 42 });
    const k = kit(format);
    k.table.map(2 ** 43 - 2 ** 30, phys(0), 2 ** 30, RW);
    expect([...dump(format, k.hardware, k.table)].map((e) => [e.va, e.is.kind])).toEqual([[2 ** 43 - 2 ** 30, "leaf"]]);
  });

  it("ends where tables go round in circles, lead nowhere, or are malformed", () => {
    const k = onePage(ept);
    change(k, BASE, (e) => (e & ~0xffff_f000n) | BigInt(BASE));
    change(k, BASE + 8, () => 0x9_9999_9907n);
    change(k, BASE + 16, () => 6n);
    const lines = [...dump(ept, k.hardware, k.table)].map((e) => `${e.level} ${dumpLine(e).split(": ")[1]}`);
    expect(lines.length).toBeLessThan(20);
    expect(lines.filter((l) => l.startsWith("3"))).toEqual([
      "3 table at 0x10000000",
      "3 table at 0x999999000, no memory",
      "3 malformed",
    ]);
  });
});

describe("a drawing", () => {
  it("shows how the address is cut, what was read, and the sum", () => {
    const { table } = kit(amdV1);
    table.map(0x1_0000, phys(0x3_0000), 0x1_0000, RW);
    expect(drawWalk(amdV1, table.levels, 0x1_2345, table.translate(0x1_2345, "read")).split("\n")).toEqual([
      "AMD I/O v1, 3 levels: 0x12345",
      "",
      "   38     30   29     21   20     12   11      0",
      " +-----------+-----------+-----------+-----------+",
      " |         0 |         0 |        18 |     0x345 |",
      " +-----------+-----------+-----------+-----------+",
      "   level 2     level 1     level 0     offset",
      "",
      " level 2  0x10000000 [  0]  0x6000000010001401  table at 0x10001000",
      " level 1  0x10001000 [  0]  0x6000000010002201  table at 0x10002000",
      " level 0  0x10002000 [ 18]  0x6000000000037e01  leaf of 64 KiB: read, write",
      "",
      " 0x30000 + 0x2345 = 0x32345 (the entry's address, 0x37000, codes the size)",
    ]);
  });

  it("and where it ended, if it did not arrive", () => {
    const { table } = kit(vtdSecondStage);
    table.map(0, phys(0), M2, RO);
    const drawn = (va: number): string[] => drawWalk(vtdSecondStage, 4, va, table.translate(va, "write")).split("\n");
    expect(drawn(0x1234).slice(-1)).toEqual([
      " level 1  0x10002000 [  0]  0x0000000000000081  permission: the leaf does not allow write",
    ]);
    expect(drawn(2 ** 50).slice(-1)).toEqual([" address-width: no address of 48 bits"]);
  });
});

it("memory seen through another view is the same memory", () => {
  const { memory, table } = kit(vtdSecondStage);
  table.map(0, phys(0x5000), K4, RW);
  const found = walk(vtdSecondStage, hardwareOf(memory), table, 0x10, "write");
  expect(found).toMatchObject({ kind: "hit", physical: 0x5010, leafSizeBytes: K4 });
});
