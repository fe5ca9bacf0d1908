import { errnoOf } from "@dma-buf/config/refusal";
import { DmaBufError, type PhysAddr } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import type { Format } from "./format.js";
import { createAmdV1 } from "./formats/amd-v1.js";
import { formats } from "./formats/index.js";
import { amdV1, createArmStage2, createVtdSecondStage, ept, vtdSecondStage, x86 } from "./index.js";
import { createTableMemory, failNth } from "./memory.js";
import { createPageTable } from "./page-table.js";
import { BASE, isSame, kit, type Kit, miscounts, phys, RO, RW } from "./testing.js";

const [K4, M2, G1] = [0x1000, 0x20_0000, 0x4000_0000];
describe("refusals name the value, the rule and the remedy", () => {
  it.each<[string, (k: Kit) => unknown, string]>([
    [
      "misaligned",
      (k) => k.table.map(0x1234, phys(0), K4, RW),
      "map: ENXIO: va 0x1234 is no multiple of 4096: align it",
    ],
    ["in use", (k) => k.table.map(0, phys(0), M2, RW), "map: EADDRINUSE: 0x3000 is mapped already: unmap it first"],
    [
      "inside a leaf",
      (k) => k.table.map(M2 + K4, phys(0), K4, RW),
      "map: EADDRINUSE: 0x201000 is mapped already: unmap it first",
    ],
    [
      "cannot say",
      (k) => k.table.map(0, phys(0), K4, { ...RW, execute: true }),
      "map: EINVAL: vtd-second-stage cannot map read, write, execute: it has no execute permission: leave `execute` out",
    ],
    [
      "protect a part",
      (k) => k.table.protect(M2, K4, RO),
      "protect: EINVAL: the leaf of 2^21 bytes at 0x200000 lies only partly inside: split it",
    ],
    [
      "protect a hole",
      (k) => k.table.protect(0x3000, 2 * K4, RO),
      "protect: ENOENT: nothing is mapped at 0x4000: map it first, or end there",
    ],
    ["split nothing", (k) => k.table.split(0, K4), "split: ENOENT: nothing is mapped at 0x0: map it first"],
    [
      "split into thirds",
      (k) => k.table.split(M2, 3),
      "split: EINVAL: 3 bytes is none of the leaf sizes 2^12, 2^21, 2^30",
    ],
    ["unmap nothing", (k) => k.table.unmap(0, 0), "unmap: EINVAL: size is 0: name at least one page"],
    [
      "unmap half a page",
      (k) => k.table.unmap(0, 0x800),
      "unmap: ENXIO: sizeBytes 0x800 is no multiple of 4096: align it",
    ],
    [
      "unmap too high",
      (k) => k.table.unmap(2 ** 48, K4),
      "unmap: ERANGE: 0x1000000000000 + 0x1000 is beyond 48 bits of vtd-second-stage: map lower",
    ],
  ])("%s", (_name, act, message) => {
    const k = kit(vtdSecondStage);
    k.table.map(0x3000, phys(0x8000), K4, RW);
    k.table.map(M2, phys(M2), M2, RW);
    const before = k.memory.words.slice();
    expect(() => act(k)).toThrow(message);
    expect(isSame(k.memory.words, before)).toBe(true);
  });

  it("dirty bits that hardware does not keep", () => {
    const { table } = kit(formats.find((f) => f.id === "arm-stage2") as Format);
    expect(() => table.readAndClearDirty(0, K4)).toThrow(
      "read_and_clear_dirty: EOPNOTSUPP: hardware keeps no dirty bit in arm-stage2",
    );
  });

  it.each<[string, () => unknown, string]>([
    ["a leaf size that is none", () => kit(ept, 8, { leafSizesLog2: [12, 16] }), "leafSizesLog2 [12, 16]"],
    ["no smallest size", () => kit(ept, 8, { leafSizesLog2: [21] }), "leafSizesLog2 [21]"],
    [
      "table memory beyond the pointers",
      () => createPageTable(formats[5] as Format, createTableMemory({ basePhys: phys(2 ** 48), sizeBytes: K4 })),
      "table memory ends at 0x1000000001000, beyond 48 bits of arm-stage2: place it lower",
    ],
    [
      "table memory across 16 TiB",
      () => createPageTable(ept, createTableMemory({ basePhys: phys(2 ** 44 - K4), sizeBytes: 2 * K4 })),
      "crosses 16 TiB",
    ],
  ])("%s", (_name, make, message) => {
    expect(make).toThrow(message);
  });
});

describe("unmap", () => {
  it("stops at a hole and inside a leaf, and takes a leaf that ends later whole", () => {
    const { table } = kit(vtdSecondStage);
    table.map(M2, phys(M2), M2, RW);
    table.map(2 * M2, phys(0x1000), K4, RW);
    expect([table.unmap(M2 + K4, K4), table.unmap(2 * M2 + K4, K4), table.unmap(M2, K4)]).toEqual([0, 0, M2]);
  });

  it("keeps tables that it covers in part, and they give way to a large leaf", () => {
    const { table } = kit(vtdSecondStage);
    table.map(0, phys(0), M2 - K4, RW);
    expect([table.unmap(0, M2 - K4), table.tables, table.idleTables]).toEqual([M2 - K4, 4, 3]);
    table.map(0, phys(M2), M2, RW);
    expect([table.tables, table.idleTables, [...table.leaves()].length]).toEqual([3, 0, 1]);
  });

  it("gives tables that it covers whole back, or notes them until the flush is done", () => {
    const { table, memory } = kit(vtdSecondStage, 8, { leafSizesLog2: [12] });
    const gather: PhysAddr[] = [];
    table.map(0, phys(0), 2 * M2, RW);
    expect([table.tables, table.unmap(0, M2, gather), table.tables, memory.liveTables]).toEqual([5, M2, 4, 5]);
    expect(gather.map((at) => memory.words[(at - BASE) / 4])).toEqual([0]);
    for (const at of gather) memory.freeTable(at);
    expect([table.unmap(M2, M2), table.tables, memory.liveTables]).toEqual([M2, 3, 3]);
  });

  it("of a part of an AMD run takes the whole run", () => {
    const { table } = kit(amdV1);
    table.map(0x1_0000, phys(0x1_0000), 0x1_0000, RW);
    expect([table.unmap(0x1_1000, K4), table.unmap(0x1_0000, K4), [...table.leaves()]]).toEqual([0, 0x1_0000, []]);
  });
});

describe("AMD's root grows", () => {
  it("when a higher address is mapped, says so, and never shrinks", () => {
    const roots: [number, number][] = [];
    const { table, memory } = kit(createAmdV1({ vaBits: 53 }), 64, {
      onRoot: (root, levels) => roots.push([root, levels]),
    });
    const first = table.root;
    table.map(0, phys(0x5000), K4, RW);
    table.map(2 ** 50, phys(0x9000), K4, RW);
    expect([table.levels, roots]).toEqual([5, [[table.root, 5]]]);
    expect([table.lookup(3), table.lookup(2 ** 50 + 3), table.root === first]).toEqual([0x5003, 0x9003, false]);
    table.unmap(2 ** 50, K4);
    expect(table.levels).toBe(5);
    table.destroy();
    expect(memory.liveTables).toBe(0);
  });

  it("for a leaf that needs a higher level, though its address does not", () => {
    const { table } = kit(amdV1);
    table.map(0, phys(0), 2 ** 40, RW);
    expect([table.levels, table.lookup(2 ** 40 - 1), [...table.leaves()].length]).toEqual([4, 2 ** 40 - 1, 1]);
  });

  it("and a range that goes beyond what it covers is unmapped up to there", () => {
    const { table } = kit(amdV1);
    table.map(2 ** 39 - K4, phys(0x5000), K4, RW);
    expect(table.unmap(2 ** 39 - K4, 2 * K4)).toBe(K4);
  });

  it.each([2, 3, 4, 5, 6])("is taken back, whatever was mapped below it, when allocation %i fails", (n) => {
    const seen: number[] = [];
    const memory = createTableMemory({ basePhys: BASE, sizeBytes: 256 * K4 });
    const options = { onRoot: (root: PhysAddr) => seen.push(root) };
    const table = createPageTable(createAmdV1({ vaBits: 53 }), failNth(memory, n), options);
    const first = table.root;
    expect(errnoOf(() => table.map(0, phys(0), 2 ** 48 + K4, RW))).toBe("ENOMEM");
    expect([table.levels, memory.liveTables, miscounts(table)]).toEqual([3, 1, []]);
    expect([undefined, table.root]).toContain(seen.at(-1));
    expect(seen.length > 0 || table.root === first).toBe(true);
    table.map(5 * K4, phys(0), K4, RW);
    expect([table.lookup(5 * K4), table.translate(5 * K4, "read").kind]).toEqual([0, "hit"]);
    table.destroy();
    expect(memory.liveTables).toBe(0);
  });

  it.each([2, 3, 4, 5])("is the same root again, if leaves filled it before allocation %i fails", (n) => {
    const memory = createTableMemory({ basePhys: BASE, sizeBytes: 256 * K4 });
    const table = createPageTable(amdV1, failNth(memory, n));
    const first = table.root;
    expect(errnoOf(() => table.map(0, phys(0), 2 ** 39 + K4, RW))).toBe("ENOMEM");
    expect([table.levels, table.root, memory.liveTables, miscounts(table)]).toEqual([3, first, 1, []]);
  });

  it("shrinks again only if what it grew for could not be mapped", () => {
    const roots: number[] = [];
    const memory = createTableMemory({ basePhys: BASE, sizeBytes: 16 * K4 });
    const table = createPageTable(amdV1, failNth(memory, 4), { onRoot: (_root, levels) => roots.push(levels) });
    expect(errnoOf(() => table.map(2 ** 40, phys(0), K4, RW))).toBe("ENOMEM");
    expect([roots, table.levels, memory.liveTables]).toEqual([[4, 3], 3, 1]);
  });

  it("says nothing of a root that it could not reach", () => {
    const roots: number[] = [];
    const memory = createTableMemory({ basePhys: BASE, sizeBytes: 16 * K4 });
    const options = { onRoot: (_root: PhysAddr, levels: number) => roots.push(levels) };
    const table = createPageTable(createAmdV1({ vaBits: 53 }), failNth(memory, 3), options);
    expect(errnoOf(() => table.map(2 ** 50, phys(0), K4, RW))).toBe("ENOMEM");
    expect([roots, table.levels, memory.liveTables]).toEqual([[], 3, 1]);
  });
});

describe("what is remembered", () => {
  it("does not outlive its table, nor stand in for another region", () => {
    const { table } = kit(vtdSecondStage, 256, { leafSizesLog2: [12] });
    const far = 256 * M2;
    table.map(0, phys(0), M2, RW);
    expect([table.lookup(5), table.lookup(far + 5), table.unmap(far, K4)]).toEqual([5, -1, 0]);
    table.unmap(0, M2);
    // The same table page, for a region that is remembered in the same place.
    table.map(far, phys(0x40_0000), K4, RW);
    expect([table.lookup(far + 5), table.lookup(5), table.unmap(0, K4)]).toEqual([0x40_0005, -1, 0]);
    expect([errnoOf(() => table.map(0, phys(0), K4, RW)), table.lookup(far + 5), miscounts(table)]).toEqual([
      "ok",
      0x40_0005,
      [],
    ]);
  });

  it("a page beyond the physical width is refused there too", () => {
    const { table } = kit(createVtdSecondStage({ oaBits: 39 }));
    table.map(0, phys(0), K4, RW);
    expect(errnoOf(() => table.map(K4, phys(2 ** 39), K4, RW))).toBe("ERANGE");
  });

  it("what is allowed is not mixed up: execute refused, and not said", () => {
    const { table } = kit(x86);
    table.map(0, phys(0), K4, { ...RW, execute: false });
    table.map(K4, phys(0), K4, RW);
    table.map(2 * K4, phys(0), K4, { ...RW, execute: true });
    expect([...table.leaves()].map((l) => l.protection.execute)).toEqual([false, true, true]);
  });
});

describe("large leaves over tables that are idle", () => {
  it("take nested tables out, of every level", () => {
    const { table, memory } = kit(vtdSecondStage);
    for (const va of [0, M2, 5 * M2]) table.map(va, phys(K4), K4, RW);
    for (const va of [0, M2, 5 * M2]) table.unmap(va, K4);
    expect([table.tables, table.idleTables]).toEqual([6, 5]);
    table.map(5 * M2, phys(K4), K4, RW);
    expect(table.idleTables).toBe(2);
    table.map(2 * G1, phys(0), M2, RW);
    expect([table.tables, table.idleTables]).toEqual([7, 2]);
    table.unmap(5 * M2, K4);
    expect(table.idleTables).toBe(4);
    table.unmap(2 * G1, M2);
    table.map(0, phys(G1), G1, RW);
    expect([table.tables, memory.liveTables, miscounts(table), table.lookup(M2)]).toEqual([3, 3, [], G1 + M2]);
  });

  it("in a root of several tables", () => {
    const { table, memory } = kit(createArmStage2({ iasBits: 43, oasBits: 42 }));
    const end = 512 * G1;
    table.map(end - G1, phys(end - G1), 3 * G1, RW);
    table.unmap(end, 2 * G1);
    for (const va of [end, end + G1]) table.map(va, phys(K4), K4, RW);
    for (const va of [end, end + G1]) table.unmap(va, K4);
    table.map(end, phys(0), G1, RW);
    expect([miscounts(table), table.lookup(end + 9), table.lookup(end + G1)]).toEqual([[], 9, -1]);
    table.destroy();
    expect([memory.liveTables, memory.words.some((w) => w !== 0)]).toEqual([0, false]);
  });
});

it("a map that made many tables takes them all back", () => {
  const { memory, table } = kit(vtdSecondStage, 200, { leafSizesLog2: [12] });
  table.map(2 ** 40, phys(0), K4, RW);
  expect(errnoOf(() => table.map(0, phys(0), 300 * M2, RW))).toBe("ENOMEM");
  expect([memory.liveTables, table.tables, miscounts(table)]).toEqual([4, 4, []]);
});

it("and the last of them too, which nothing was mapped in", () => {
  // A root, a table below it, two of the next level, 512 lowest ones for the first of these, none for the second.
  const { memory, table } = kit(vtdSecondStage, 4 + 512, { leafSizesLog2: [12] });
  expect(errnoOf(() => table.map(0, phys(0), G1 + M2, RW))).toBe("ENOMEM");
  expect([memory.liveTables, table.tables, memory.words.every((w) => w === 0)]).toEqual([1, 1, true]);
});

describe("split", () => {
  it("uses the page table's own leaf sizes", () => {
    const { table, memory } = kit(vtdSecondStage, 600, { leafSizesLog2: [12, 30] });
    table.map(0, phys(G1), G1, RW);
    expect(errnoOf(() => table.split(0, M2))).toBe("EINVAL");
    table.split(0x5000, K4);
    expect([new Set([...table.leaves()].map((l) => l.sizeBytes)), table.tables]).toEqual([new Set([K4]), 515]);
    expect([table.lookup(G1 - 1), miscounts(table)]).toEqual([2 * G1 - 1, []]);
    table.destroy();
    expect(memory.liveTables).toBe(0);
  });

  it("that cannot be finished leaves the leaf, and no table", () => {
    const { table } = kit(vtdSecondStage, 100, { leafSizesLog2: [12, 30] });
    table.map(0, phys(G1), G1, RW);
    expect([errnoOf(() => table.split(0, K4)), table.tables, miscounts(table), table.lookup(7)]).toEqual([
      "ENOMEM",
      2,
      [],
      G1 + 7,
    ]);
  });

  it.each([-0.5, 1.5, NaN, -K4])("at %d, which is no address, is refused", (va) => {
    const { table } = kit(vtdSecondStage);
    table.map(0, phys(0), M2, RW);
    expect([errnoOf(() => table.split(va, K4)), errnoOf(() => table.split(2 ** 48, K4))]).toEqual(["EINVAL", "ERANGE"]);
    expect([...table.leaves()].length).toBe(1);
  });

  it("goes through each level, and translates as before", () => {
    const { table } = kit(vtdSecondStage);
    table.map(G1, phys(4 * G1), G1, RW);
    table.split(G1 + M2 + 0x3000, K4);
    expect(new Set([...table.leaves()].map((l) => l.sizeBytes))).toEqual(new Set([M2, K4]));
    expect([...table.leaves()].length).toBe(511 + 512);
    for (const va of [G1, G1 + M2 + 0x3008, 2 * G1 - 1]) expect(table.lookup(va)).toBe(va + 3 * G1);
  });

  it("an AMD leaf within its level, and one of 1 TiB, whose level has no leaf of its own size", () => {
    const { table } = kit(amdV1);
    table.map(0, phys(0), 0x1_0000, RW);
    table.split(0x4000, 0x4000);
    expect([...table.leaves()].map((l) => l.sizeBytes)).toEqual([0x4000, 0x4000, 0x4000, 0x4000]);
    table.map(2 ** 40, phys(2 ** 40), 2 ** 40, RW);
    table.split(2 ** 40 + 2 ** 39 + 5, 2 ** 30);
    const sizes = [...table.leaves(2 ** 40, 2 ** 40)].map((l) => l.sizeBytes);
    expect([new Set(sizes), sizes.length, table.lookup(2 ** 41 - 1)]).toEqual([new Set([2 ** 30]), 1024, 2 ** 41 - 1]);
  });

  it("without a table for it changes nothing", () => {
    const memory = createTableMemory({ basePhys: BASE, sizeBytes: 4 * K4 });
    const table = createPageTable(vtdSecondStage, memory);
    table.map(0, phys(0), G1, RW);
    const before = memory.words.slice();
    expect(errnoOf(() => table.split(0, K4)) + memory.liveTables).toBe("ok4");
    table.destroy();
    const small = createTableMemory({ basePhys: BASE, sizeBytes: 3 * K4 });
    const other = createPageTable(vtdSecondStage, small);
    other.map(0, phys(0), G1, RW);
    expect([errnoOf(() => other.split(0, K4)), small.liveTables]).toEqual(["ENOMEM", 2]);
    expect([small.words.slice(0, 2048), other.lookup(5)]).toEqual([before.slice(0, 2048), 5]);
  });
});

describe("who watches", () => {
  it("sees each entry that is written, where it is, as it is then", () => {
    const seen: [number, string][] = [];
    const { memory, table } = kit(vtdSecondStage, 16, {
      onStore: (at, entry) => seen.push([at - BASE, entry.toString(16)]),
    });
    table.map(0, phys(0x5000), 2 * K4, RW);
    expect(seen).toEqual([
      [0, "10001003"],
      [0x1000, "10002003"],
      [0x2000, "10003003"],
      [0x3000, "5003"],
      [0x3008, "6003"],
    ]);
    seen.length = 0;
    table.unmap(0, K4);
    expect([seen, memory.words[0x3000 / 4]]).toEqual([[[0x3000, "0"]], 0]);
  });
});

describe("once destroyed", () => {
  it("nothing is mapped, and every call that wants to change something says so", () => {
    const { table, memory } = kit(ept);
    table.map(0, phys(0x5000), K4, RW);
    table.destroy();
    expect([table.lookup(0), [...table.leaves()], table.tables, table.idleTables]).toEqual([-1, [], 0, 0]);
    // Its root is somebody else's now.
    createPageTable(ept, memory).map(0, phys(0x5000), K4, RW);
    expect(table.translate(0, "read")).toMatchObject({ kind: "fault", reason: "no-memory" });
    for (const act of [
      () => table.map(0, phys(0), K4, RW),
      () => table.map(0, phys(0), M2, RW),
      () => table.unmap(0, K4),
      () => table.split(0, K4),
      () => table.protect(0, K4, RO),
      () => table.readAndClearDirty(0, K4),
      () => table.destroy(),
    ])
      expect(act).toThrow("EINVAL: the page table was destroyed: make another");
    expect(memory.liveTables).toBe(4);
  });
});

describe("somebody else wrote into the tables", () => {
  const spoil = (entry: bigint, at = 0): Kit => {
    const k = kit(vtdSecondStage);
    k.table.map(0, phys(0x5000), K4, RW);
    new DataView(k.memory.words.buffer).setBigUint64(at, entry, true);
    return k;
  };
  const asked: [string, (k: Kit) => unknown][] = [
    ["map", (k) => k.table.map(K4, phys(0), 2 * K4, RW)],
    ["unmap", (k) => k.table.unmap(0, 2 * K4)],
    ["leaves", (k) => [...k.table.leaves()]],
    ["protect", (k) => k.table.protect(0, K4, RO)],
  ];
  it.each([
    ["the root points to itself", 0x1000_0003n],
    ["it points outside the memory", 0x9999_9000_0003n],
    ["it points to a table that nobody took", 0x1000_9003n],
    ["it points to a table of another level", 0x1000_3003n],
    ["it points 16 TiB higher", 0x1000_1000_1003n],
  ])("%s: EIO with the entry, from every call, and no end to wait for", (_name, entry) => {
    for (const [name, act] of asked) {
      const k = spoil(entry);
      const error = caught(() => act(k));
      expect([name, error?.code, error?.values["entryPhys"]]).toEqual([name, "EIO", BASE]);
      expect(error?.message).toContain(`[0x10000000] = 0x${entry.toString(16)} leads to no table of level 2`);
    }
  });

  it("destroy gives all tables back, whatever leads to them", () => {
    const k = spoil(0n);
    k.table.destroy();
    expect([k.memory.liveTables, k.memory.words.some((w) => w !== 0)]).toEqual([0, false]);
  });

  it("a table that was given back is nobody's", () => {
    const k = kit(vtdSecondStage, 16, { leafSizesLog2: [12] });
    k.table.map(0, phys(0), 2 * M2, RW);
    const lowest = k.table.translate(0, "read").steps[3]?.entryPhys as number;
    const above = (k.table.translate(0, "read").steps[2]?.entryPhys as number) - BASE;
    k.table.unmap(0, M2);
    new DataView(k.memory.words.buffer).setBigUint64(above, BigInt(lowest) + 3n, true);
    expect(errnoOf(() => [...k.table.leaves()])).toBe("EIO");
  });

  it.each([
    ["more than its level", 0, 0x7fff_fe01n],
    ["all ones", 0, 0x000f_ffff_ffff_fe01n],
    ["less than its level's own", 8, 0x0e01n],
  ])("AMD: a leaf that codes %s is EIO, and nobody else's tables are touched", (_name, above, entry) => {
    const { memory, table } = kit(amdV1);
    const other = createPageTable(vtdSecondStage, memory);
    other.map(0, phys(0), 100 * K4, RW);
    table.map(0, phys(0x5000), K4, RW);
    const { steps } = table.translate(0, "read");
    const at = (steps.at(above === 0 ? -1 : -2)?.entryPhys as number) - BASE;
    new DataView(memory.words.buffer).setBigUint64(at, entry, true);
    for (const act of [() => table.unmap(0, 2 * K4), () => [...table.leaves()], () => table.readAndClearDirty(0, K4)])
      expect(errnoOf(act)).toBe("EIO");
    expect(table.translate(0, "read")).toMatchObject({ kind: "fault", reason: "malformed" });
    expect([...other.leaves()].length).toBe(100);
  });

  it("an entry with high bits alone is in the way too", () => {
    const { memory, table } = kit(vtdSecondStage);
    table.map(0, phys(0x5000), K4, RW);
    const at = (table.translate(0, "read").steps.at(-1)?.entryPhys as number) - BASE;
    new DataView(memory.words.buffer).setBigUint64(at + 16, 1n << 60n, true);
    expect([errnoOf(() => table.map(K4, phys(0), 6 * K4, RW)), errnoOf(() => table.map(K4, phys(0), K4, RW))]).toEqual([
      "EADDRINUSE",
      "ok",
    ]);
  });

  function caught(act: () => unknown): DmaBufError | null {
    try {
      act();
      return null;
    } catch (error) {
      return error instanceof DmaBufError ? error : null;
    }
  }
});
