/** The checks before an export, against what Linux 7.3 answers, and their order. */
import { refusal } from "@dma-buf/config/refusal";
import { addr, DmaBufError, Framework, linux73, Scheduler } from "@dma-buf/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { VfioHost } from "./host.js";
import { BAR, fakeHost, PAGE } from "./testing.js";
import { type DmaRange, physVecs } from "./validate.js";

const page: DmaRange = { offset: 0, length: PAGE };
const at = (offset: number | bigint, length: number | bigint = PAGE): DmaRange => ({ offset, length });

/** What the check of `ranges` answers, with its message. */
function answer(ranges: readonly DmaRange[], regionIndex = 0, host: VfioHost = fakeHost()): [string, string] {
  const act = (): unknown => physVecs(host, regionIndex, ranges);
  let message = "";
  try {
    act();
  } catch (error) {
    message = (error as Error).message;
  }
  return [refusal(act), message];
}

describe("what Linux accepts", () => {
  it.each<[string, DmaRange[]]>([
    ["the whole BAR", [at(0, 16 * PAGE)]],
    ["the last page", [at(15 * PAGE)]],
    ["two ranges", [at(0), at(8 * PAGE)]],
    ["overlapping ranges", [at(0, 2 * PAGE), at(PAGE, 2 * PAGE)]],
    ["the same range twice", [page, page]],
    ["any order", [at(8 * PAGE), at(0)]],
    ["bigints, as the ioctl has them", [at(4096n, 8192n)]],
    ["more together than the BAR has", [at(0, 16 * PAGE), at(0, 16 * PAGE)]],
  ])("%s", (_name, ranges) => {
    expect(physVecs(fakeHost(), 0, ranges)).toEqual(
      ranges.map(({ offset, length }) => ({ physical: BAR + Number(offset), sizeBytes: Number(length) })),
    );
  });
});

/** Rows 11 to 20 of the order, by number. */
const violations: readonly [
  row: string,
  expected: string,
  message: RegExp,
  ranges: DmaRange[],
  regionIndex?: number,
][] = [
  ["11: no range", "EINVAL@export", /no range: name at least one/, []],
  ["12: the ROM", "ENODEV@export", /no BAR 6.*choose/, [page], 6],
  ["12: config space", "ENODEV@export", /no BAR 7/, [page], 7],
  ["12: region 9", "ENODEV@export", /no BAR 9/, [page], 9],
  ["12: region 0xffffffff", "ENODEV@export", /no BAR 4294967295/, [page], 0xffff_ffff],
  ["12: region -1", "ENODEV@export", /no BAR -1/, [page], -1],
  ["12: region 0.5", "ENODEV@export", /no BAR 0.5/, [page], 0.5],
  ["12: region NaN", "ENODEV@export", /no BAR NaN/, [page], Number.NaN],
  ["12: a BAR that is not claimed", "ENODEV@export", /no BAR 5.*not claimed/, [page], 5],
  ["14: length 0", "EINVAL@export", /length is 0: .* at least one page/, [at(0, 0)]],
  ["14: offset 0x800", "EINVAL@export", /offset 2048 .* 4096 bytes: align/, [at(0x800)]],
  ["14: offset 100", "EINVAL@export", /offset 100 /, [at(100)]],
  ["14: length 100", "EINVAL@export", /length 100 /, [at(0, 100)]],
  ["14: the second of two", "EINVAL@export", /length 1 /, [page, at(0, 1)]],
  [
    "15: the sum overflows",
    "EINVAL@export",
    /18446744073709551616 bytes together, beyond 64/,
    [at(0, 1n << 63n), at(0, 1n << 63n)],
  ],
  ["16: bit 63 of the sum", "EINVAL@export", /0x8000000000000000 bytes together: stay below 2\^63/, [at(0, 1n << 63n)]],
  ["18: an I/O BAR", "EINVAL@export", /BAR 2 .* no peer-to-peer memory: choose/, [page], 2],
  [
    "19: the start wraps",
    "EOVERFLOW@export",
    /0xfffffffffffff000\+0x1000 .* beyond 64 bits/,
    [at((1n << 64n) - 4096n)],
  ],
  [
    "20: one page beyond",
    "EINVAL@export",
    /0xf000\+0x2000 ends beyond the BAR, which has 0x10000 bytes: shorten/,
    [at(15 * PAGE, 2 * PAGE)],
  ],
  ["20: from the end on", "EINVAL@export", /ends beyond the BAR/, [at(16 * PAGE)]],
  ["20: a BAR smaller than a page", "EINVAL@export", /which has 0x100 bytes/, [page], 1],
];

/** BAR 1 is the 256 bytes that were tried on a real kernel. */
function withSmallBar(): VfioHost {
  const host = fakeHost();
  const region: VfioHost["region"] = (i) =>
    i === 1 ? { physical: addr(0xfeb0_0000), sizeBytes: 256 } : host.region(i);
  return { ...host, region, provider: (i) => host.provider(i) };
}

describe("what Linux refuses", () => {
  it.each(violations)("row %s: %s", (_row, expected, message, ranges, regionIndex = 0) => {
    const [errno, text] = answer(ranges, regionIndex, withSmallBar());
    expect(errno).toBe(expected);
    expect(text).toMatch(message);
    expect(text).toMatch(/^VFIO_DEVICE_FEATURE_DMA_BUF: /);
  });

  it("19: the end wraps where the start does not", () => {
    const high: VfioHost = { ...fakeHost(), region: () => ({ physical: addr(2 ** 52), sizeBytes: 2 ** 40 }) };
    const start = (1n << 63n) - (1n << 52n);
    expect(answer([at(start, (1n << 63n) - 4096n)], 0, high)[0]).toBe("EINVAL@export");
    expect(answer([at(start + (1n << 63n) - 8192n, 8192n)], 0, high)[0]).toBe("EOVERFLOW@export");
    expect(answer([at(start + (1n << 63n) - 8192n, 4096n)], 0, high)[0]).toBe("EINVAL@export");
  });

  it("11 comes before 12", () => {
    expect(answer([], 6)).toEqual(["EINVAL@export", expect.stringMatching(/no range/)]);
  });

  it.each([-1, 0.5, 6, Number.NaN])("12: region %f is no BAR, whatever the host has there", (regionIndex) => {
    const host: VfioHost = { ...fakeHost(), region: () => ({ physical: BAR, sizeBytes: PAGE }) };
    expect(answer([page], regionIndex, host)[0]).toBe("ENODEV@export");
  });

  it.each<[unknown, string]>([
    [-1, "-1"],
    [0.5, "0.5"],
    [Number.NaN, "NaN"],
    [Number.POSITIVE_INFINITY, "Infinity"],
    [2 ** 53, "9007199254740992"],
    [-1n, "-1"],
    [1n << 64n, "18446744073709551616"],
    ["4096", '"4096"'],
    [null, "null"],
    [undefined, "undefined"],
  ])("%s is no 64 bits, and is named, as offset and as length", (value, shown) => {
    for (const name of ["offset", "length"] as const) {
      const [errno, text] = answer([{ ...page, [name]: value }]);
      expect(errno).toBe("EINVAL@export");
      expect(text).toContain(`${name} ${shown} is no unsigned 64-bit value: give`);
    }
  });

  it("carries the values", () => {
    const act = (): unknown => physVecs(fakeHost(), 0, [at(16 * PAGE)]);
    expect(act).toThrow(
      expect.objectContaining({ values: { offset: 65536n, length: 4096n, sizeBytes: 65536 } }) as Error,
    );
  });

  it("an export whose sum is one page below 2^63 gets as far as the bounds", () => {
    expect(answer([at(0, (1n << 63n) - 4096n)])[1]).toMatch(/ends beyond the BAR/);
  });
});

describe("memory", () => {
  const failing = (nth: number): Framework => {
    let calls = 0;
    const allocFails = (op: string): boolean => op === "vfio_pci_core_feature_dma_buf" && ++calls === nth;
    return new Framework({ contract: linux73, scheduler: new Scheduler(), allocFails });
  };

  it.each([1, 2])("ENOMEM when allocation %i fails, with nothing left", (nth) => {
    const fw = failing(nth);
    const before = fw.ledger;
    expect(refusal(() => physVecs(fakeHost(), 0, [page], fw))).toBe("ENOMEM@export");
    expect(fw.ledger).toEqual(before);
  });

  it("two allocations and no more", () => {
    expect(physVecs(fakeHost(), 0, [page], failing(3))).toHaveLength(1);
  });

  it("is asked for after the ranges were looked at (16), and before the provider is (18)", () => {
    expect(refusal(() => physVecs(fakeHost(), 0, [at(0, 1n << 63n)], failing(1)))).toBe("EINVAL@export");
    expect(refusal(() => physVecs(fakeHost(), 2, [page], failing(1)))).toBe("ENOMEM@export");
  });

  it("ENOMEM for more ranges than kmalloc() has room for: 2^18 fit", () => {
    const many = (count: number): DmaRange[] => Array.from({ length: count }, () => page);
    expect(physVecs(fakeHost(), 0, many(2 ** 18))).toHaveLength(2 ** 18);
    const [errno, text] = answer(many(2 ** 18 + 1));
    expect(errno).toBe("ENOMEM@export");
    expect(text).toMatch(/262145 ranges take 4194320 bytes, and kmalloc\(\) gives 4194304/);
  });
});

const inside = fc
  .tuple(fc.nat(15), fc.integer({ min: 1, max: 16 }))
  .map(([first, pages]) => at(first * PAGE, Math.min(pages, 16 - first) * PAGE));

describe("laws", () => {
  it("any pages inside the BAR are accepted, and covered, each range by itself and in its order", () => {
    fc.assert(
      fc.property(fc.array(inside, { minLength: 1 }), fc.boolean(), (ranges, big) => {
        const given = big ? ranges.map((r) => at(BigInt(r.offset), BigInt(r.length))) : ranges;
        const pages = (from: number, bytes: number): number[] =>
          Array.from({ length: bytes / PAGE }, (_, i) => from + i * PAGE);
        expect(physVecs(fakeHost(), 0, given).flatMap((v) => pages(v.physical, v.sizeBytes))).toEqual(
          ranges.flatMap((r) => pages(BAR + Number(r.offset), Number(r.length))),
        );
      }),
    );
  });

  // Row by row of one range; what has a lower number wins. A sum is of all ranges.
  const bad: readonly [number, fc.Arbitrary<DmaRange>, string, RegExp][] = [
    [14, fc.constant(at(0, 0)), "EINVAL@export", /length is 0/],
    [14, fc.integer({ min: 1, max: PAGE - 1 }).map((n) => at(n)), "EINVAL@export", /offset \d+ is not a multiple/],
    [14, fc.integer({ min: 1, max: PAGE - 1 }).map((n) => at(0, n)), "EINVAL@export", /length \d+ is not a multiple/],
    [16, fc.nat(15).map((n) => at(n * PAGE, 1n << 63n)), "EINVAL@export", /mark of the DMA API/],
    [19, fc.nat(15).map((n) => at((1n << 64n) - BigInt(n + 1) * 4096n)), "EOVERFLOW@export", /beyond 64 bits/],
    [20, fc.nat(15).map((n) => at(n * PAGE, (17 - n) * PAGE)), "EINVAL@export", /ends beyond the BAR/],
  ];
  const oneBad = fc
    .constantFrom(...bad)
    .chain(([row, range, errno, message]) =>
      fc.record({ row: fc.constant(row), range, errno: fc.constant(errno), message: fc.constant(message) }),
    );

  it("one violation among good ranges yields its errno", () => {
    fc.assert(
      fc.property(fc.array(inside), oneBad, fc.array(inside), (before, { range, errno, message }, after) => {
        const [code, text] = answer([...before, range, ...after]);
        expect(code).toBe(errno);
        expect(text).toMatch(message);
      }),
    );
  });

  it("of two violations the earlier rule wins, whichever range comes first; by the same rule, the first range", () => {
    fc.assert(
      fc.property(oneBad, oneBad, (a, b) => {
        // Rows 14 and 16 are looked at in one pass of all ranges, 19 and 20 in a later one, where the first range decides.
        const pass = (row: number): number => (row < 19 ? row : 19);
        const bothMarks = a.row === 16 && b.row === 16;
        const winner = pass(b.row) < pass(a.row) ? b : a;
        const [code, text] = answer([a.range, b.range]);
        expect(code).toBe(winner.errno);
        expect(text).toMatch(bothMarks ? /beyond 64 bits: name fewer/ : winner.message);
      }),
    );
  });

  it("whatever is given, the answer is ranges inside the BAR or a DmaBufError", () => {
    const any = fc.oneof(
      fc.anything(),
      fc.bigInt(),
      fc.integer(),
      fc.nat(20).map((n) => n * PAGE),
    );
    fc.assert(
      fc.property(
        fc.array(fc.record({ offset: any, length: any })),
        fc.integer({ min: -1, max: 9 }),
        (ranges, region) => {
          try {
            const vecs = physVecs(fakeHost(), region, ranges as DmaRange[]);
            for (const v of vecs)
              expect(v.physical + v.sizeBytes).toBeLessThanOrEqual(fakeHost().region(region)!.physical + 2 ** 24);
          } catch (error) {
            if (!(error instanceof DmaBufError)) throw error;
          }
        },
      ),
    );
  });
});
