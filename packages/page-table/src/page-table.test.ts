import { errnoOf } from "@dma-buf/config/refusal";
import { DmaBufError, type PhysAddr } from "@dma-buf/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Format, Protection } from "./format.js";
import { createAmdV1 } from "./formats/amd-v1.js";
import { formats } from "./formats/index.js";
import { amdV1, ept, vtdSecondStage } from "./index.js";
import { createTableMemory, failNth } from "./memory.js";
import { createPageTable, type PageTable } from "./page-table.js";
import { BASE, kit, type Kit, Oracle, phys, RO, RW, walked } from "./testing.js";

const [K4, M2, G1] = [0x1000, 0x20_0000, 0x4000_0000];
const everyFormat = formats.map((f) => [f.id, f] as const);
const isClear = ({ memory }: Kit): boolean => memory.words.every((w) => w === 0);
/** Byte for byte; `toEqual` takes an age for a megabyte. */
const isSame = (a: Int32Array, b: Int32Array): boolean =>
  Buffer.compare(new Uint8Array(a.buffer), new Uint8Array(b.buffer)) === 0;

type Op =
  | { readonly do: "map"; page: number; pages: number; frame: number; protection: Protection }
  | { readonly do: "unmap"; page: number; pages: number }
  | { readonly do: "protect"; page: number; pages: number; protection: Protection }
  | { readonly do: "split"; page: number; log2: number }
  | { readonly do: "access"; page: number; access: "read" | "write" }
  | { readonly do: "sweep"; page: number; pages: number; clear: boolean; which: "dirty" | "accessed" };

/** Addresses close together, so that operations meet, around 0, around 1 GiB, and where AMD's root must grow. */
const page = fc
  .tuple(fc.constantFrom(0, 2 ** 18 - 1024, 2 ** 27 - 512), fc.integer({ min: 0, max: 2048 }))
  .map(([base, n]) => base + n);
const pages = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(512, 1024, 1536));
/** Ranges that large leaves fit, of 1 GiB or of 2 MiB each. */
const large = fc.record({
  do: fc.constant("map" as const),
  page: fc.constantFrom(0, 2 ** 18, 2 ** 27),
  pages: fc.constantFrom(2 ** 18, 2 ** 10),
  frame: fc.constantFrom(2 ** 18, 2 ** 20 + 512),
  protection: fc.constant(RW),
});
const protection = fc.constantFrom<Protection>(
  RW,
  RO,
  { ...RW, execute: false },
  { ...RO, cache: "wb" },
  { ...RW, cache: "uc" },
);
const op: fc.Arbitrary<Op> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("map" as const), page, pages, frame: page, protection }) },
  large,
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("unmap" as const), page, pages: fc.oneof(pages, fc.constant(2 ** 18)) }),
  },
  fc.record({ do: fc.constant("protect" as const), page, pages, protection }),
  fc.record({ do: fc.constant("split" as const), page, log2: fc.constantFrom(12, 14, 21, 22) }),
  fc.record({ do: fc.constant("access" as const), page, access: fc.constantFrom("read" as const, "write" as const) }),
  fc.record({
    do: fc.constant("sweep" as const),
    page,
    pages,
    clear: fc.boolean(),
    which: fc.constantFrom("dirty" as const, "accessed" as const),
  }),
);

/** A page table and the oracle, step by step side by side. */
class Pair {
  readonly kit: Kit;
  readonly oracle: Oracle;
  readonly #format: Format;

  constructor(format: Format) {
    this.#format = format;
    this.kit = kit(format);
    this.oracle = new Oracle(format);
  }

  step(todo: Op): void {
    const { table, memory } = this.kit;
    const before = memory.words.slice();
    const [va, size] = [todo.page * K4, "pages" in todo ? todo.pages * K4 : 0];
    const expected = this.#expected(todo);
    const got = errnoOf(() => {
      if (todo.do === "map") table.map(va, phys(todo.frame * K4), size, todo.protection);
      if (todo.do === "unmap") expect(table.unmap(va, size) / K4).toBe(expected.gone);
      if (todo.do === "protect") table.protect(va, size, todo.protection);
      if (todo.do === "split") table.split(va, 2 ** todo.log2);
      if (todo.do === "access") expect(walked(this.kit, va + 7, todo.access)).toBe(expected.reached);
      if (todo.do === "sweep") {
        const read = todo.which === "dirty" ? table.readAndClearDirty : table.readAndClearAccessed;
        expect(read.call(table, va, size, { clear: todo.clear }).map((t) => t.va / K4)).toEqual(expected.touched);
      }
    });
    expect([todo, got]).toEqual([todo, expected.errno]);
    if (got !== "ok") expect(isSame(memory.words, before)).toBe(true);
  }

  /** Does it to the oracle, and says what the page table must answer. */
  #expected(todo: Op): { errno: string; gone?: number; reached?: number; touched?: number[] } {
    const { oracle } = this;
    const sizes = this.#format.leafSizesLog2;
    switch (todo.do) {
      case "map": {
        const noted = this.#noted(todo.protection);
        return { errno: oracle.map(todo.page, todo.frame, todo.pages, todo.protection, noted) ? "ok" : "EADDRINUSE" };
      }
      case "unmap":
        return { errno: "ok", gone: oracle.unmap(todo.page, todo.pages) };
      case "protect":
        return { errno: oracle.protect(todo.page, todo.pages, todo.protection) };
      case "split":
        return {
          errno: sizes.includes(todo.log2)
            ? oracle.split(todo.page, 2 ** (todo.log2 - 12), this.#steps(todo.log2))
            : "EINVAL",
        };
      case "access": {
        const leaf = oracle.at(todo.page);
        if (!leaf || (todo.access === "write" && !leaf.protection.write)) return { errno: "ok", reached: -1 };
        leaf.accessed = true;
        leaf.dirty ||= todo.access === "write";
        return { errno: "ok", reached: (leaf.frame + todo.page - leaf.page) * K4 + 7 };
      }
      case "sweep": {
        if (this.#format[todo.which] === 0n) return { errno: "EOPNOTSUPP" };
        const touched = oracle.overlapping(todo.page, todo.pages).filter((l) => l[todo.which]);
        if (todo.clear) for (const leaf of touched) leaf[todo.which] = false;
        return { errno: "ok", touched: touched.map((l) => l.page) };
      }
    }
  }

  /** What the format sets in a new leaf: Linux writes some as accessed and dirty. */
  #noted({ write }: Protection): { accessed: boolean; dirty: boolean } {
    const bits = this.#format.leafFlags({ level: 0, sizeLog2: 12 }, { read: true, write });
    return { accessed: (bits & this.#format.accessed) !== 0n, dirty: (bits & this.#format.dirty) !== 0n };
  }

  /** The sizes through which a split goes: the asked one, and each level's own above it. */
  #steps(log2: number): number[] {
    return [log2, 21, 30, 39].filter((s) => s >= log2).map((s) => 2 ** (s - 12));
  }

  check(): void {
    const { table, memory } = this.kit;
    const found = [...table.leaves()].map((l) => {
      const { accessed, dirty } = l;
      return [l.va / K4, l.physical / K4, l.sizeBytes / K4, l.protection.write, accessed, dirty];
    });
    const has = (bit: bigint, on: boolean): boolean => bit !== 0n && on;
    expect(found).toEqual(
      this.oracle.leaves.map((l) => [
        l.page,
        l.frame,
        l.pages,
        l.protection.write,
        has(this.#format.accessed, l.accessed),
        has(this.#format.dirty, l.dirty),
      ]),
    );
    expect(memory.liveTables).toBe(table.tables);
    const { leaves } = this.oracle;
    const some = leaves.filter((_, i) => i < 6 || i > leaves.length - 6 || i % 97 === 0);
    const around = some.flatMap(({ page: at, pages: n }) => [at - 1, at, at + Math.floor(n / 2), at + n]);
    for (const at of around.filter((n) => n >= 0)) this.#checkPage(at);
  }

  #checkPage(at: number): void {
    const leaf = this.oracle.at(at);
    const expected = leaf ? (leaf.frame + at - leaf.page) * K4 + 5 : -1;
    const { table } = this.kit;
    const hit = table.translate(at * K4 + 5, "read");
    const found = [table.lookup(at * K4 + 5), hit.kind === "hit" ? hit.physical : -1];
    if (found.some((n) => n !== expected)) expect([at, ...found]).toEqual([at, expected, expected]);
  }
}

describe.each(everyFormat)("%s against a list of leaves", (_id, format) => {
  it("agrees after any sequence of operations, refuses without a trace, and gives every table back", () => {
    fc.assert(
      fc.property(fc.array(op, { maxLength: 14 }), (ops) => {
        const pair = new Pair(format);
        for (const todo of ops) {
          pair.step(todo);
          pair.check();
        }
        const { table, memory } = pair.kit;
        if (pair.oracle.leaves.length === 0) expect(table.idleTables).toBe(table.tables - 1);
        table.destroy();
        expect([memory.liveTables, isClear(pair.kit)]).toEqual([0, true]);
      }),
      { numRuns: 60 },
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
        expect(k.table.idleTables).toBe(k.table.tables - 1);
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
    for (let n = 2; n <= whole.table.tables; n++) {
      const memory = createTableMemory({ basePhys: BASE, sizeBytes: 256 * K4 });
      const table = createPageTable(format, failNth(memory, n));
      expect([n, errnoOf(() => run(table))]).toEqual([n, "ENOMEM"]);
      const left = [...table.leaves()].reduce((sum, l) => sum + l.sizeBytes, 0);
      expect([0, size]).toContain(left);
      if (left === 0) expect([memory.liveTables, memory.words.every((w) => w === 0)]).toEqual([1, true]);
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
    ["half a byte", 0.5, 0, K4, RW, "EOVERFLOW"],
    ["not a number", NaN, 0, K4, RW, "EINVAL"],
    ["infinite", Infinity, 0, K4, RW, "EOVERFLOW"],
  ])("refuses to map: %s", (_name, va, physical, size, allowed, code) => {
    const k = kit(format);
    k.table.map(4 * M2, phys(0), K4, RW);
    const before = k.memory.words.slice();
    expect(errnoOf(() => k.table.map(va, physical as PhysAddr, size, allowed))).toBe(code);
    expect([isSame(k.memory.words, before), k.memory.liveTables]).toEqual([true, k.table.tables]);
  });
});

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
      "split: EINVAL: 3 bytes is no leaf size of vtd-second-stage: 2^12, 2^21, 2^30",
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

  it("shrinks again only if what it grew for could not be mapped", () => {
    const roots: number[] = [];
    const memory = createTableMemory({ basePhys: BASE, sizeBytes: 16 * K4 });
    const table = createPageTable(amdV1, failNth(memory, 4), { onRoot: (_root, levels) => roots.push(levels) });
    expect(errnoOf(() => table.map(2 ** 40, phys(0), K4, RW))).toBe("ENOMEM");
    expect([roots, table.levels, memory.liveTables]).toEqual([[4, 3], 3, 1]);
  });
});

describe("split", () => {
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
    for (const act of [
      () => table.map(0, phys(0), K4, RW),
      () => table.map(0, phys(0), M2, RW),
      () => table.unmap(0, K4),
      () => table.protect(0, K4, RO),
      () => table.readAndClearDirty(0, K4),
      () => table.destroy(),
    ])
      expect(act).toThrow("EINVAL: the page table was destroyed: make another");
    expect([memory.liveTables, memory.words.some((w) => w !== 0)]).toEqual([0, false]);
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
    ["destroy", (k) => k.table.destroy()],
  ];
  it.each([
    ["the root points to itself", 0x1000_0003n],
    ["it points outside the memory", 0x9999_9000_0003n],
    ["it points to a table that nobody took", 0x1000_9003n],
    ["it points to a table of another level", 0x1000_3003n],
  ])("%s: EIO with the entry, from every call, and no end to wait for", (_name, entry) => {
    for (const [name, act] of asked) {
      const k = spoil(entry);
      const error = caught(() => act(k));
      expect([name, error?.code, error?.values["entryPhys"]]).toEqual([name, "EIO", BASE]);
      expect(error?.message).toContain(`[0x10000000] = 0x${entry.toString(16)} leads to no table of level 2`);
    }
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
