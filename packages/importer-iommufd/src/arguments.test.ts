/** In which order an ioctl looks at its argument: of two things that are wrong, the first is told. Nothing is left of it. */
import { errnoOf } from "@dma-buf/config/refusal";
import { describe, expect, it } from "vitest";
import { iommufdIoctl } from "./ioctl.js";
import { Fixture } from "./testing/fixture.js";
import { BUFFER, MOCK_APERTURE_START, PAGE } from "./testing/mock-host.js";
import { U64_MAX } from "./u64.js";
import { encodeIommu, IOMMU_IOCTL } from "./uapi.js";

const AT = MOCK_APERTURE_START;
/** What is wrong, as fields of an argument, from what is looked at first to what is looked at last. */
type Wrong = readonly (readonly [string, Readonly<Record<string, number | bigint>>])[];

const FLAGS: Wrong[0] = ["EOPNOTSUPP", { flags: 8 }];
const RESERVED: Wrong[0] = ["EOPNOTSUPP", { reserved: 1 }];
const IOVA_ALL_BITS: Wrong[0] = ["EOVERFLOW", { iova: U64_MAX }];
const NEITHER: Wrong[0] = ["EINVAL", { flags: 1 }];
const NO_IOAS: Wrong[0] = ["ENOENT", { ioasId: 77 }];
const NO_LENGTH: Wrong[0] = ["EINVAL", { length: 0n }];

const CASES: Readonly<Record<"IOAS_MAP" | "IOAS_MAP_FILE" | "IOAS_COPY" | "IOAS_UNMAP", Wrong>> = {
  IOAS_MAP: [
    FLAGS,
    RESERVED,
    IOVA_ALL_BITS,
    NEITHER,
    NO_IOAS,
    NO_LENGTH,
    ["EOVERFLOW", { userVa: U64_MAX }],
    ["EINVAL", { length: PAGE + 1n }],
    ["EINVAL", { iova: AT + 1n }],
    ["EINVAL", { iova: AT - PAGE }],
    ["EEXIST", { iova: AT }],
    ["EFAULT", { userVa: 0n }],
  ],
  IOAS_MAP_FILE: [
    FLAGS,
    IOVA_ALL_BITS,
    NEITHER,
    NO_IOAS,
    NO_LENGTH,
    ["EOVERFLOW", { start: U64_MAX }],
    ["EBADF", { fd: 77 }],
    ["EINVAL", { length: PAGE + 1n }],
    ["EINVAL", { iova: AT + 1n }],
    ["EINVAL", { iova: AT - PAGE }],
    ["EEXIST", { iova: AT }],
    ["EINVAL", { start: 0n }],
  ],
  IOAS_COPY: [
    FLAGS,
    ["EOVERFLOW", { length: U64_MAX }],
    ["EOVERFLOW", { dstIova: U64_MAX }],
    ["EOVERFLOW", { srcIova: U64_MAX }],
    NEITHER,
    ["ENOENT", { srcIoasId: 77 }],
    NO_LENGTH,
    ["EOVERFLOW", { srcIova: U64_MAX - 1n }],
    ["ENOENT", { srcIova: AT + 2n * PAGE }],
    ["ENOENT", { dstIoasId: 77 }],
    ["EINVAL", { length: 0x801n }],
    ["EINVAL", { dstIova: AT + 1n }],
    ["EINVAL", { dstIova: AT - PAGE }],
    ["EEXIST", { dstIova: AT }],
  ],
  IOAS_UNMAP: [
    NO_IOAS,
    ["EOVERFLOW", { iova: U64_MAX }],
    ["EOVERFLOW", { length: U64_MAX }],
    NO_LENGTH,
    ["EOVERFLOW", { iova: U64_MAX - 1n }],
    ["ENOENT", { iova: AT + 16n * PAGE }],
    ["ENOENT", { length: PAGE }],
  ],
};

/** An IOAS with a domain, one area of two pages, and a file that is no memory file; and what would be right. */
function world() {
  const f = new Fixture(1);
  f.host.files.set(9, { kind: "other" });
  expect(f.mapFixed(AT, 2n * PAGE)).toBe("ok");
  const right = {
    ioasId: f.ioasId,
    srcIoasId: f.ioasId,
    dstIoasId: f.ioasId,
    flags: 7,
    userVa: BUFFER,
    fd: 9,
    length: PAGE,
    iova: AT + 8n * PAGE,
    srcIova: AT,
    dstIova: AT + 8n * PAGE,
  };
  return { f, right };
}

function fieldsOf(name: keyof typeof CASES, values: Readonly<Record<string, number | bigint>>) {
  const FIELDS: Readonly<Record<keyof typeof CASES, string>> = {
    IOAS_MAP: "flags ioasId reserved userVa length iova",
    IOAS_MAP_FILE: "flags ioasId fd start length iova",
    IOAS_COPY: "flags dstIoasId srcIoasId length dstIova srcIova",
    IOAS_UNMAP: "ioasId iova length",
  };
  const known = new Set(FIELDS[name].split(" "));
  return Object.fromEntries(Object.entries(values).filter(([key]) => known.has(key)));
}

describe.each(Object.entries(CASES) as [keyof typeof CASES, Wrong][])("%s", (name, wrongs) => {
  // Each with each that is looked at later and is about another field.
  const pairs = wrongs.flatMap(([code, first], i) =>
    [
      [code, "nothing else", {}] as const,
      ...wrongs.slice(i + 1).map(([other, second]) => [code, other, second] as const),
    ]
      .filter(([, , second]) => Object.keys(second).every((key) => !(key in first)))
      .map(([, other, second]) => ({ code, other, first, second })),
  );

  it.each(pairs)("$code before $other: $first, $second", ({ code, first, second }) => {
    const { f, right } = world();
    const before = f.snapshot();
    expect(f.ioctl(name, fieldsOf(name, { ...right, ...second, ...first })).code).toBe(code);
    expect(f.snapshot()).toEqual(before);
  });
});

it("the last byte of 64 bits is no source: an area may end there, but what is copied does not begin there", () => {
  const f = new Fixture(0);
  const at = U64_MAX - PAGE + 1n;
  expect(f.mapFixed(at, PAGE)).toBe("ok");
  expect(f.copy({ srcIova: U64_MAX, length: 1n, dstIova: AT })).toBe("EOVERFLOW");
  expect(f.copy({ srcIova: U64_MAX - 1n, length: 2n, dstIova: AT })).toBe("ok");
});

it("an IOAS that is called directly refuses what no ioctl can say, and nothing is left of it", () => {
  const { f, right } = world();
  const ioas = f.ioas();
  const before = f.snapshot();
  const what = { ...right, src: ioas, file: right.fd, start: 0n };
  const NO_U64 = [-1n, -PAGE, U64_MAX + 1n, 4096 as unknown as bigint, undefined as unknown as bigint];
  for (const bad of NO_U64) {
    expect(errnoOf(() => f.run(ioas.map({ ...what, iova: bad })))).toBe("EOVERFLOW");
    expect(errnoOf(() => f.run(ioas.map({ ...what, length: bad })))).toBe("EOVERFLOW");
    expect(errnoOf(() => f.run(ioas.map({ ...what, userVa: bad })))).toBe("EOVERFLOW");
    expect(errnoOf(() => f.run(ioas.mapFile({ ...what, start: bad })))).toBe("EOVERFLOW");
    if (bad !== undefined) expect(errnoOf(() => f.run(ioas.copy({ ...what, srcIova: bad })))).toBe("EOVERFLOW");
    expect(errnoOf(() => f.run(ioas.unmap(bad, PAGE)))).toBe("EOVERFLOW");
    expect(errnoOf(() => f.run(ioas.unmap(AT, bad)))).toBe("EOVERFLOW");
  }
  for (const flags of [Number.NaN, -1, 0.5, 8, undefined as unknown as number])
    expect(errnoOf(() => f.run(ioas.map({ ...what, flags })))).toBe("EOPNOTSUPP");
  expect(f.snapshot()).toEqual(before);
});

it("what is wrong with a value is told as it is", () => {
  const { f, right } = world();
  const ioas = f.ioas();
  const said = (change: object): string => {
    try {
      f.run(ioas.map({ ...right, ...change }));
    } catch (error) {
      return (error as Error).message;
    }
    return "ok";
  };
  expect(said({ iova: 0 })).toMatch(/iova 0 \(number\) is no bigint/);
  expect(said({ iova: -1n })).toMatch(/iova -1 is below 0/);
  expect(said({ iova: U64_MAX })).toMatch(/iova 0xffffffffffffffff is 2\^64-1 or beyond/);
  expect(said({ length: 4096 })).toMatch(/length 4096 \(number\) is no bigint/);
  expect(said({ userVa: 4096 })).toMatch(/userVa 4096 \(number\) is no bigint/);
  expect(said({ userVa: U64_MAX })).toMatch(/0xffffffffffffffff \+ 0x1000 is beyond 64 bits/);
  expect(said({ flags: undefined })).toMatch(/flags undefined \(undefined\) is no whole number/);
  expect(said({ flags: 7n })).toMatch(/flags 7 \(bigint\) is no whole number/);
  expect(said({ flags: 8 })).toMatch(/flags 8 has bits that mean nothing/);
});

it("an argument that userspace writes to while its ioctl sleeps is answered in the room that it had", () => {
  const { f, right } = world();
  const arg = encodeIommu("IOAS_MAP", fieldsOf("IOAS_MAP", { ...right, flags: 6 }));
  const op = iommufdIoctl(f, IOMMU_IOCTL.IOAS_MAP, arg);
  expect(op.next().done).toBe(false);
  arg.set([4, 0, 0, 0]);
  expect(f.run(op)).toBe(0);
  expect(f.ioas().space.areas.map(({ iova }) => iova)).toContain(new DataView(arg.buffer).getBigUint64(32, true));
});

it("one page less than all is no unmap of everything", () => {
  const { f } = world();
  expect(f.unmap(0n, U64_MAX - 1n)).toEqual({ code: "ok", length: 2n * PAGE });
  expect(f.unmap(0n, U64_MAX - 1n).code).toBe("ENOENT");
});

it("the other commands: EOPNOTSUPP for what they do not know, ENOENT for what is not there", () => {
  const { f } = world();
  expect(f.ioctl("IOAS_ALLOC", { flags: 1 }).code).toBe("EOPNOTSUPP");
  expect(f.ioctl("IOAS_CHANGE_PROCESS", { reserved: 1 }).code).toBe("EOPNOTSUPP");
  expect(f.ioctl("IOAS_IOVA_RANGES", { ioasId: 77 }).code).toBe("ENOENT");
  expect(f.ioctl("IOAS_ALLOW_IOVAS", { ioasId: f.deviceIds[0] as number }).code).toBe("ENOENT");
  const hwpt = { devId: f.deviceIds[0] as number, ptId: f.ioasId };
  expect(f.ioctl("HWPT_ALLOC", { ...hwpt, flags: 16 }).code).toBe("EOPNOTSUPP");
  expect(f.ioctl("HWPT_ALLOC", { ...hwpt, reserved: 1 }).code).toBe("EOPNOTSUPP");
  expect(f.ioctl("HWPT_ALLOC", { ...hwpt, dataLen: 8 }).code).toBe("EINVAL");
  expect(f.ioctl("HWPT_ALLOC", { ...hwpt, devId: 77 }).code).toBe("ENOENT");
  expect(f.ioctl("HWPT_ALLOC", { ...hwpt, ptId: 77 }).code).toBe("EINVAL");
  expect(f.ioctl("HWPT_ALLOC", hwpt).code).toBe("ok");
  // One of the first kernels' callers has no room for more than its 24 bytes, and is answered in those.
  const short = encodeIommu("HWPT_ALLOC", hwpt).slice(0, 24);
  short[0] = 24;
  expect(f.raw(IOMMU_IOCTL.HWPT_ALLOC, short)).toBe(0);
  expect(new DataView(short.buffer).getUint32(16, true)).toBe(5);
  expect(f.ioctl("DESTROY", { id: f.deviceIds[0] as number }).code).toBe("EBUSY");
});

it("change_process: only files can", () => {
  const { f } = world();
  expect(f.ioctl("IOAS_CHANGE_PROCESS", {}).code).toBe("EINVAL");
  expect(f.unmap(AT, 2n * PAGE).code).toBe("ok");
  expect(f.ioctl("IOAS_CHANGE_PROCESS", {}).code).toBe("ok");
});
