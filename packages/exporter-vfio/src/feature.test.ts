/** `VFIO_DEVICE_FEATURE` as bytes, against what Linux 7.3 answers, and the order of its checks. */
import { refusal } from "@dma-buf/config/refusal";
import { DmaBufError, Framework, linux73, Scheduler } from "@dma-buf/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type DmaBufFeature,
  encodeDmaBufFeature,
  VFIO_DEVICE_FEATURE,
  VFIO_DEVICE_FEATURE_DMA_BUF,
  VFIO_DEVICE_FEATURE_FLAG,
} from "./feature-layout.js";
import { decodeFeature, type FeatureSupport } from "./feature.js";
import { fakeHost, PAGE } from "./testing.js";
import { physVecs } from "./validate.js";

const { GET, SET, PROBE } = VFIO_DEVICE_FEATURE_FLAG;
const request: DmaBufFeature = { regionIndex: 0, openFlags: 0, ranges: [{ offset: 0n, length: BigInt(PAGE) }] };

/** Where a u32 of the argument is. */
const FIELD = { argsz: 0, headerFlags: 4, regionIndex: 8, openFlags: 12, flags: 16, nrRanges: 20 } as const;
type Words = Partial<Record<keyof typeof FIELD, number>>;

/** A good request for one page, with other words in it. */
function bytes(words: Words = {}, of: DmaBufFeature = request): Uint8Array {
  const arg = encodeDmaBufFeature(of);
  const view = new DataView(arg.buffer);
  for (const [name, value] of Object.entries(words)) view.setUint32(FIELD[name as keyof typeof FIELD], value, true);
  return arg;
}

const decode = (arg: Uint8Array, support?: FeatureSupport): ReturnType<typeof decodeFeature> =>
  decodeFeature(arg, fakeHost(), undefined, support);

function answer(arg: Uint8Array, support?: FeatureSupport): [string, string] {
  try {
    decode(arg, support);
    return ["ok", ""];
  } catch (error) {
    return [refusal(() => decode(arg, support)), (error as Error).message];
  }
}

it("has the numbers of the uAPI", () => {
  expect([VFIO_DEVICE_FEATURE, VFIO_DEVICE_FEATURE_DMA_BUF, GET, SET, PROBE]).toEqual([
    0x3b75, 11, 0x1_0000, 0x2_0000, 0x4_0000,
  ]);
});

it("lays a request out byte for byte, little endian", () => {
  const arg = encodeDmaBufFeature({
    regionIndex: 2,
    openFlags: 0o2000002,
    ranges: [
      { offset: 0x1000, length: 0x2000 },
      { offset: 0x1_0000_0000n, length: 0x0102_0304_0506_0708n },
    ],
  });
  const words = "38000000 0b000100 02000000 02000800 00000000 02000000";
  const ranges = "00100000 00000000 00200000 00000000 00000000 01000000 08070605 04030201";
  expect(Buffer.from(arg).toString("hex").match(/.{8}/g)?.join(" ")).toBe(`${words} ${ranges}`);
});

describe("what Linux accepts", () => {
  it.each<[string, Words, DmaBufFeature?]>([
    ["one page", {}],
    ["argsz 24, too small for its range: ranges are read regardless", { argsz: 24 }],
    ["argsz 0xffffffff", { argsz: 0xffff_ffff }],
    [
      "argsz of one range, with two",
      { argsz: 40, nrRanges: 2 },
      { ...request, ranges: [...request.ranges, ...request.ranges] },
    ],
    ["open_flags O_CREAT", { openFlags: 0x40 }],
    ["open_flags 0x80000000", { openFlags: 0x8000_0000 }],
    ["an I/O BAR: that it has no provider is found out later", { regionIndex: 2 }],
  ])("%s", (_name, words, of = request) => {
    expect(decode(bytes(words, of))).toEqual({
      regionIndex: words.regionIndex ?? 0,
      openFlags: words.openFlags ?? 0,
      ranges: of.ranges,
    });
  });

  it.each([
    ["PROBE", PROBE],
    ["PROBE and GET", PROBE | GET],
  ])("%s: nothing behind the header is looked at", (_name, flags) => {
    const header = bytes({ headerFlags: flags | 11, argsz: 8 }).slice(0, 8);
    expect(decode(header)).toBe("probe");
  });

  it("a view into a larger buffer ends where the view ends", () => {
    const around = new Uint8Array(100).fill(0xee);
    around.set(bytes(), 3);
    expect(decode(around.subarray(3, 43))).toEqual(request);
    expect(answer(around.subarray(3, 42))[0]).toBe("EFAULT@export");
  });
});

const cut = (length: number, words: Words = {}): Uint8Array => bytes(words).slice(0, length);

/** Rows 1 to 13 of the order. */
const violations: readonly [
  row: string,
  expected: string,
  message: RegExp,
  arg: Uint8Array,
  support?: FeatureSupport,
][] = [
  ["1: nothing there", "EFAULT@export", /bytes 0 to 8 cannot be read: the memory ends at 0/, cut(0)],
  ["1: 7 bytes", "EFAULT@export", /bytes 0 to 8/, cut(7)],
  ["2: argsz 0", "EINVAL@export", /argsz 0 is less than the header/, bytes({ argsz: 0 })],
  ["2: argsz 7", "EINVAL@export", /argsz 7 is less/, bytes({ argsz: 7 })],
  [
    "3: bit 19",
    "EINVAL@export",
    /flags 0x9000b has bits that mean nothing/,
    bytes({ headerFlags: 0x8_0000 | GET | 11 }),
  ],
  ["3: bit 31", "EINVAL@export", /flags 0x8005000b has/, bytes({ headerFlags: 0x8000_0000 | PROBE | GET | 11 })],
  ["4: GET and SET", "EINVAL@export", /exclude each other/, bytes({ headerFlags: GET | SET | 11 })],
  ["feature 10", "ENOTTY@export", /feature 10 is not modelled: ask for dma-buf, 11/, bytes({ headerFlags: GET | 10 })],
  ["feature 0xffff, probed", "ENOTTY@export", /feature 65535/, bytes({ headerFlags: PROBE | 0xffff })],
  [
    "a kernel without dma-buf",
    "ENOTTY@export",
    /this kernel has no dma-buf feature \(support\.dmaBuf\): build in/,
    bytes(),
    { dmaBuf: false },
  ],
  ["5: a driver without it", "EOPNOTSUPP@export", /no get_dmabuf_phys/, bytes(), { getDmabufPhys: false }],
  [
    "5: even for PROBE",
    "EOPNOTSUPP@export",
    /no get_dmabuf_phys/,
    bytes({ headerFlags: PROBE | 11 }),
    { getDmabufPhys: false },
  ],
  ["6: SET", "EINVAL@export", /cannot be SET/, bytes({ headerFlags: SET | 11 })],
  ["6: PROBE and SET", "EINVAL@export", /cannot be SET/, bytes({ headerFlags: PROBE | SET | 11 })],
  ["6: PROBE, GET and SET", "EINVAL@export", /cannot be SET/, bytes({ headerFlags: PROBE | GET | SET | 11 })],
  ["8: neither GET nor SET", "EINVAL@export", /neither GET nor PROBE/, bytes({ headerFlags: 11 })],
  ["9: argsz 8", "EINVAL@export", /argsz 8 has no room .* 24 or more/, bytes({ argsz: 8 })],
  ["9: argsz 23", "EINVAL@export", /argsz 23 has no room/, bytes({ argsz: 23 })],
  ["10: 23 bytes", "EFAULT@export", /bytes 8 to 24 cannot be read: the memory ends at 23/, cut(23)],
  ["11: nr_ranges 0", "EINVAL@export", /no range/, bytes({ nrRanges: 0 })],
  ["11: flags 1", "EINVAL@export", /request's flags are 0x1: none is defined/, bytes({ flags: 1 })],
  ["11: flags 0x80000000", "EINVAL@export", /flags are 0x80000000/, bytes({ flags: 0x8000_0000 })],
  ["12: the ROM", "ENODEV@export", /no BAR 6/, bytes({ regionIndex: 6 })],
  ["12: a BAR that is not there", "ENODEV@export", /no BAR 5/, bytes({ regionIndex: 5 })],
  ["12: region 0xffffffff", "ENODEV@export", /no BAR 4294967295/, bytes({ regionIndex: 0xffff_ffff })],
  ["13: 39 bytes", "EFAULT@export", /bytes 24 to 40 cannot be read: the memory ends at 39/, cut(39)],
  ["13: one range, two counted", "EFAULT@export", /bytes 24 to 56/, bytes({ nrRanges: 2 })],
  ["13: the most that kmalloc() has room for", "EFAULT@export", /bytes 24 to 4194328/, bytes({ nrRanges: 2 ** 18 })],
  ["13: one more", "ENOMEM@export", /262145 ranges take 4194320 bytes/, bytes({ nrRanges: 2 ** 18 + 1 })],
  ["13: nr_ranges 0x10000000", "ENOMEM@export", /kmalloc/, bytes({ nrRanges: 0x1000_0000 })],
  ["13: nr_ranges 0xffffffff", "ENOMEM@export", /kmalloc/, bytes({ nrRanges: 0xffff_ffff })],
];

describe("what Linux refuses", () => {
  it.each(violations)("row %s: %s", (_row, expected, message, arg, support) => {
    const [errno, text] = answer(arg, support);
    expect(errno).toBe(expected);
    expect(text).toMatch(message);
  });

  // Each of these breaks a rule; put together from the front, the earliest answers.
  const breaks: readonly [row: number, words: Words, expected: string, message: RegExp][] = [
    [2, { argsz: 7 }, "EINVAL@export", /less than the header/],
    [3, { headerFlags: 0x8_0000 | GET | SET | 10 }, "EINVAL@export", /mean nothing/],
    [4, { headerFlags: GET | SET | 10 }, "EINVAL@export", /exclude/],
    [4.5, { headerFlags: SET | 10 }, "ENOTTY@export", /feature 10/],
    [6, { headerFlags: PROBE | SET | 11 }, "EINVAL@export", /cannot be SET/],
    [8, { headerFlags: 11 }, "EINVAL@export", /neither/],
    [9, { argsz: 8 }, "EINVAL@export", /no room/],
    [11, { nrRanges: 0 }, "EINVAL@export", /no range/],
    [11.5, { flags: 1 }, "EINVAL@export", /request's flags/],
    [12, { regionIndex: 6 }, "ENODEV@export", /no BAR/],
    [13, { nrRanges: 0xffff_ffff }, "ENOMEM@export", /kmalloc/],
  ];

  it("of any violations together the earliest rule's answers", () => {
    fc.assert(
      fc.property(fc.subarray([...breaks], { minLength: 1 }), (some) => {
        const [first] = some;
        const words = some.toReversed().reduce<Words>((all, [, w]) => ({ ...all, ...w }), {});
        const [errno, text] = answer(bytes(words));
        expect(errno).toBe(first?.[2]);
        expect(text).toMatch(first?.[3] as RegExp);
      }),
    );
  });

  it("5 comes before 6 and behind 4", () => {
    const support = { getDmabufPhys: false };
    expect(answer(bytes({ headerFlags: SET | 11 }), support)[0]).toBe("EOPNOTSUPP@export");
    expect(answer(bytes({ headerFlags: SET | GET | 11 }), support)[0]).toBe("EINVAL@export");
    expect(answer(bytes(), { ...support, dmaBuf: false })[0]).toBe("ENOTTY@export");
  });

  it("10 comes behind 9, before 11", () => {
    expect(answer(cut(12, { argsz: 23 }))[0]).toBe("EINVAL@export");
    expect(answer(cut(23, { nrRanges: 0 }))[0]).toBe("EFAULT@export");
  });

  it("13: ENOMEM when memdup_array_user fails, behind 12 and before the ranges are read", () => {
    const allocFails = (op: string): boolean => op === "memdup_array_user";
    const { env } = new Framework({ contract: linux73, scheduler: new Scheduler(), allocFails });
    const ask = (arg: Uint8Array): string => refusal(() => decodeFeature(arg, fakeHost(), env));
    expect(ask(cut(24))).toBe("ENOMEM@export");
    expect(ask(bytes({ regionIndex: 6 }))).toBe("ENODEV@export");
    expect(ask(bytes({ headerFlags: PROBE | 11 }))).toBe("ok");
  });
});

it("encode says what to do: GET, unless told otherwise", () => {
  const asked = (flags?: number): string => answer(encodeDmaBufFeature(request, flags))[1] || "fine";
  expect(decode(encodeDmaBufFeature(request, PROBE))).toBe("probe");
  expect([asked(), asked(GET)]).toEqual(["fine", "fine"]);
  expect(asked(0)).toMatch(/neither GET nor PROBE/);
  expect(asked(0x8000_0000)).toMatch(/flags 0x8000000b has bits that mean nothing/);
});

it.each<[string, Partial<DmaBufFeature>, RegExp]>([
  ["a region of 33 bits", { regionIndex: 2 ** 32 }, /regionIndex 4294967296 is no unsigned 32-bit value/],
  ["region -1", { regionIndex: -1 }, /regionIndex -1/],
  ["open flags of 0.5", { openFlags: 0.5 }, /openFlags 0.5/],
  ["open flags NaN", { openFlags: Number.NaN }, /openFlags NaN is no .*: give an integer from 0 below 2\^32/],
  ["open flags in words", { openFlags: "x" as never }, /openFlags "x" is no unsigned 32-bit value/],
  ["a negative offset", { ranges: [{ offset: -1, length: 1 }] }, /offset -1 is no unsigned 64-bit/],
  ["a length of 65 bits", { ranges: [{ offset: 0, length: 1n << 64n }] }, /length 18446744073709551616/],
])("encode refuses %s: no byte would say it", (_name, part, message) => {
  const act = (): unknown => encodeDmaBufFeature({ ...request, ...part });
  expect(act).toThrow(RangeError);
  expect(act).toThrow(message);
});

it.each<[unknown, RegExp]>([
  [Number.NaN, /flags NaN is no unsigned 32-bit value: give an integer from 0 below 2\^32/],
  [1.5, /flags 1.5 is no/],
  [-1, /flags -1 is no/],
  [2 ** 33, /flags 8589934592 is no/],
  ["GET", /flags "GET" is no/],
  [0x1_0004, /flags 0x10004 name feature 4: leave the low 16 bits 0/],
])("encode refuses flags %s", (flags, message) => {
  const act = (): unknown => encodeDmaBufFeature(request, flags as number);
  expect(act).toThrow(RangeError);
  expect(act).toThrow(message);
});

it("encode takes flags that name dma-buf already", () => {
  expect(encodeDmaBufFeature(request, GET | VFIO_DEVICE_FEATURE_DMA_BUF)).toEqual(encodeDmaBufFeature(request));
});

describe("laws", () => {
  const u64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
  const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
  const any = fc.record({
    regionIndex: fc.constantFrom(0, 2, 4),
    openFlags: u32,
    ranges: fc.array(fc.record({ offset: u64, length: u64 }), { minLength: 1 }),
  });

  it("what was encoded is decoded", () => {
    fc.assert(
      fc.property(any, (of) => {
        expect(decode(encodeDmaBufFeature(of))).toEqual(of);
      }),
    );
  });

  it("no byte but the last may be missing from what is read", () => {
    fc.assert(
      fc.property(any, fc.nat(), (of, n) => {
        const arg = encodeDmaBufFeature(of);
        expect(answer(arg.slice(0, n % arg.length))[0]).toBe("EFAULT@export");
      }),
    );
  });

  it("any bytes are a request or a DmaBufError at stage export, and so is the export of that request", () => {
    const header = fc.constantFrom(GET, SET, PROBE, GET | PROBE, 0).map((flags) => flags | 11);
    const nearly = fc
      .tuple(header, u32, fc.nat(8), fc.nat(2), fc.uint8Array({ maxLength: 80 }))
      .map(([headerFlags, argsz, regionIndex, nrRanges, tail]) => {
        const head = bytes({ headerFlags, argsz, regionIndex, nrRanges }).slice(0, 24);
        return Uint8Array.of(...head, ...tail);
      });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), nearly), (arg) => {
        try {
          const got = decode(arg);
          if (got !== "probe") physVecs(fakeHost(), got.regionIndex, got.ranges);
        } catch (error) {
          if (!(error instanceof DmaBufError)) throw error;
          expect(error.stage).toBe("export");
        }
      }),
      { numRuns: 1000 },
    );
  });
});
