/** Whatever userspace says to an iommufd: what is refused changes nothing, and when it closes nothing is left. */
import { DmaBufError, ERRNO } from "@dma-buf/core";
import fc from "fast-check";
import { expect, it } from "vitest";
import { Fixture } from "./testing/fixture.js";
import { BUFFER, MOCK_APERTURE_START, PAGE } from "./testing/mock-host.js";
import { encodeIommu, IOMMU_IOCTL, type IommuIoctl, STRUCTS } from "./uapi.js";

/** Values that meet: few ids, few IOVAs, some of each odd enough to be refused. */
const id = fc.oneof({ arbitrary: fc.constant(1), weight: 6 }, fc.integer({ min: 0, max: 6 }));
const flags = fc.constantFrom(1, 6, 6, 7, 7, 7, 7, 7, 8);
const pages = fc.integer({ min: 1, max: 5 }).map((n) => BigInt(n) * PAGE);
const odd = fc.constantFrom(0n, 0n, 0n, 0n, 0n, 0n, 0n, 0n, 1n, 0x800n, 2n ** 64n - 1n, 2n ** 64n - 0x1000n);
const mixed = (base: bigint) => fc.tuple(pages, odd).map(([at, more]) => BigInt.asUintN(64, base + at + more));
const end = fc.constant(2n ** 64n - 1n);
const iova = fc.oneof({ arbitrary: mixed(MOCK_APERTURE_START), weight: 12 }, { arbitrary: mixed(0n), weight: 4 }, end);
const length = fc.oneof({ arbitrary: pages, weight: 5 }, mixed(0n), fc.constant(0n), end);

const FIELDS: Readonly<Record<string, fc.Arbitrary<number | bigint>>> = {
  id,
  ioasId: id,
  srcIoasId: id,
  dstIoasId: id,
  objectId: id,
  devId: id,
  ptId: id,
  flags,
  iova,
  srcIova: iova,
  dstIova: iova,
  length,
  start: length,
  userVa: mixed(BUFFER),
  fd: fc.integer({ min: 8, max: 10 }),
  optionId: fc.integer({ min: 0, max: 2 }),
  op: fc.integer({ min: 0, max: 2 }),
  val64: fc.constantFrom(0n, 1n, 2n),
  numIovas: fc.integer({ min: 0, max: 2 }),
  allowedIovas: fc.constantFrom(0x1000n, 0x1008n, 0n),
};

const maps: IommuIoctl[] = ["IOAS_MAP", "IOAS_MAP", "IOAS_MAP", "IOAS_COPY", "IOAS_UNMAP", "IOAS_MAP_FILE"];
/** Commands whose flags mean something else. */
const NONE: Partial<Record<IommuIoctl, { readonly flags: 0 }>> = { IOAS_ALLOC: { flags: 0 }, HWPT_ALLOC: { flags: 0 } };
const call = fc.constantFrom(...maps, ...(Object.keys(IOMMU_IOCTL) as IommuIoctl[])).chain((name) => {
  const known = Object.keys(STRUCTS[name].fields).filter((field) => field in FIELDS);
  return fc
    .record(Object.fromEntries(known.map((field) => [field, FIELDS[field] as fc.Arbitrary<number | bigint>])))
    .map((values) => ({
      nr: IOMMU_IOCTL[name] as number,
      name: name as string,
      arg: encodeIommu(name, { ...values, ...NONE[name] }),
    }));
});
/** Bytes that mean nothing, under a number that does, with a size that may be right. */
const garbage = fc
  .tuple(
    fc.constantFrom(...Object.values(IOMMU_IOCTL), 0x3b7f),
    fc.uint8Array({ maxLength: 56 }),
    fc.integer({ min: 0, max: 56 }),
  )
  .map(([nr, arg, size]) => {
    if (arg.length >= 4) new DataView(arg.buffer, arg.byteOffset).setUint32(0, size, true);
    return { nr, name: "garbage", arg };
  });
const device = fc.record({
  nr: fc.constant(0),
  name: fc.constant("attach"),
  arg: fc.uint8Array({ minLength: 1, maxLength: 1 }),
});

/** @returns the errno's name; null: done */
function act(f: Fixture, { nr, name, arg }: { nr: number; name: string; arg: Uint8Array }): string | null {
  try {
    if (name === "attach") f.mockDomain((arg[0] as number) % 6);
    else f.raw(nr, arg);
    return null;
  } catch (error) {
    if (error instanceof DmaBufError) return error.code;
    throw error;
  }
}

it("what is refused changes nothing; when it is closed nothing is left", () => {
  const refused = new Map<string, number>();
  let done = 0;
  const some = fc.oneof({ arbitrary: call, weight: 12 }, garbage, device);
  fc.assert(
    fc.property(fc.constantFrom(0, 1, 2), fc.array(some, { minLength: 10, maxLength: 40 }), (domains, calls) => {
      const f = new Fixture(domains);
      f.host.files.set(9, { kind: "other" });
      // One range that may be allowed, and nothing behind it.
      const range = new Uint8Array(16);
      new DataView(range.buffer).setBigUint64(0, MOCK_APERTURE_START, true);
      new DataView(range.buffer).setBigUint64(8, MOCK_APERTURE_START + 64n * PAGE - 1n, true);
      f.user.at(0x1000n, range);
      for (const one of calls) {
        const before = f.snapshot();
        const code = act(f, one);
        if (code === null) {
          done++;
          continue;
        }
        refused.set(code, (refused.get(code) ?? 0) + 1);
        expect(ERRNO).toHaveProperty(code);
        // An unmap that comes to an area which it cannot take has taken those before.
        if (one.nr === IOMMU_IOCTL.IOAS_UNMAP && code === "ENOENT") continue;
        expect(f.snapshot()).toEqual(before);
      }
      f.close();
      expect(f.host.pinned).toBe(0);
      expect(f.host.attached.size).toBe(0);
      expect(f.host.domains.filter((domain) => !domain.isDestroyed)).toEqual([]);
      expect(f.fw.findings).toEqual([]);
    }),
    // One seed: what was drawn is counted below.
    { numRuns: 300, seed: 1 },
  );
  // It went everywhere: otherwise the property says little.
  expect(done).toBeGreaterThan(500);
  const codes = [
    "EBADF",
    "EBUSY",
    "EEXIST",
    "EFAULT",
    "EINVAL",
    "EMSGSIZE",
    "ENOENT",
    "ENOTTY",
    "EOPNOTSUPP",
    "EOVERFLOW",
  ];
  expect(codes.filter((code) => !refused.has(code))).toEqual([]);
});
