/**
 * Fixture `iommufd_ioas` of the kernel's suite (tools/testing/selftests/iommu), by its names and variants: what it asserts
 * about an IOAS, without a device, with one, with two. What it asserts about access objects is in other files.
 */
import { refusal } from "@dma-buf/config/refusal";
import { describe, expect, it } from "vitest";
import { IOMMU_OPTION_ID, IOMMU_OPTION_OP } from "./flags.js";
import { Fixture, VARIANTS } from "./testing/fixture.js";
import { BUFFER, MOCK_APERTURE_LAST, MOCK_APERTURE_START, MOCK_PAGE, PAGE } from "./testing/mock-host.js";
import { U64_MAX } from "./u64.js";

const RANGES_VA = 0x7000_0000n;
const BUFFER_SIZE = 16n * PAGE;
const upTo = (count: number): bigint[] => Array.from({ length: count }, (_, i) => BigInt(i));

/** IOMMU_IOAS_ALLOW_IOVAS. */
function allow(f: Fixture, ...ranges: (readonly [bigint, bigint])[]): string {
  const bytes = new Uint8Array(16 * ranges.length);
  const view = new DataView(bytes.buffer);
  for (const [i, [start, last]] of ranges.entries()) {
    view.setBigUint64(16 * i, start, true);
    view.setBigUint64(16 * i + 8, last, true);
  }
  const allowedIovas = f.user.at(RANGES_VA, bytes);
  return f.ioctl("IOAS_ALLOW_IOVAS", { ioasId: f.ioasId, numIovas: ranges.length, allowedIovas }).code;
}

/** IOMMU_IOAS_IOVA_RANGES, with room for `numIovas`. */
function iovaRanges(f: Fixture, numIovas: number) {
  const bytes = new Uint8Array(16 * 4);
  const allowedIovas = f.user.at(RANGES_VA, bytes);
  const { code, out } = f.ioctl("IOAS_IOVA_RANGES", { ioasId: f.ioasId, numIovas, allowedIovas });
  const words = new BigUint64Array(bytes.buffer);
  const ranges = upTo(4).map((i) => [words[2 * Number(i)], words[2 * Number(i) + 1]]);
  return { code, total: out.numIovas, alignment: out.outIovaAlignment, ranges };
}

/** What the suite's command ADD_RESERVED does. */
const addReserved = (f: Fixture, start: bigint, length: bigint): string =>
  refusal(() => f.ioas().space.reserve(start, start + length - 1n, {}));

const lowestBit = (value: bigint): bigint => value & -value;

describe.each(Object.entries(VARIANTS))("iommufd_ioas %s", (_variant, mockDomains) => {
  const fixture = (): Fixture => new Fixture(mockDomains);
  const hasDevice = mockDomains > 0;

  it("ioas_auto_destroy", () => {
    const f = fixture();
    f.close();
    expect(f.host.attached.size).toBe(0);
    expect(f.host.domains.every((domain) => domain.isDestroyed)).toBe(true);
  });

  it("ioas_destroy", () => {
    const f = fixture();
    expect(f.ioctl("DESTROY", { id: f.ioasId }).code).toBe(hasDevice ? "EBUSY" : "ok");
    expect(f.ioctl("DESTROY", { id: f.ioasId }).code).toBe(hasDevice ? "EBUSY" : "ENOENT");
  });

  it("ioas_area_destroy", () => {
    const f = fixture();
    expect(f.mapFixed(f.base, PAGE)).toBe("ok");
    expect(f.ioctl("DESTROY", { id: f.ioasId }).code).toBe(hasDevice ? "EBUSY" : "ok");
  });

  it("ioas_area_auto_destroy", () => {
    const f = fixture();
    for (const i of upTo(10)) expect(f.mapFixed(f.base + i * PAGE, PAGE)).toBe("ok");
    expect(f.host.pinned).toBe(hasDevice ? 10 : 0);
    f.close();
    expect(f.host.pinned).toBe(0);
    expect(f.host.domains.every((domain) => domain.isDestroyed)).toBe(true);
  });

  it("area", () => {
    const f = fixture();
    for (const i of upTo(10)) expect(f.unmap(i * PAGE, PAGE).code).toBe("ENOENT");
    for (const i of upTo(10)) expect(f.mapFixed(f.base + i * PAGE, PAGE)).toBe("ok");
    for (const i of upTo(10)) expect(f.unmap(f.base + i * PAGE, PAGE)).toEqual({ code: "ok", length: PAGE });
    // No half of an area goes.
    expect(f.mapFixed(f.base + 16n * PAGE, 2n * PAGE)).toBe("ok");
    expect(f.unmap(f.base + 16n * PAGE, PAGE)).toEqual({ code: "ENOENT", length: PAGE });
    expect(f.unmap(f.base + 17n * PAGE, PAGE).code).toBe("ENOENT");
    // No area goes over another: the same, its first half, its last, one that begins before, one around it.
    const shapes: [bigint, bigint][] = [
      [16n, 2n],
      [16n, 1n],
      [17n, 1n],
      [15n, 2n],
      [15n, 3n],
    ];
    for (const [at, pages] of shapes) expect(f.mapFixed(f.base + at * PAGE, pages * PAGE)).toBe("EEXIST");
    expect(f.unmap(0n, U64_MAX)).toEqual({ code: "ok", length: 2n * PAGE });
    expect(f.unmap(0n, U64_MAX)).toEqual({ code: "ok", length: 0n });
    expect(f.host.pinned).toBe(0);
  });

  it("unmap_fully_contained_areas", () => {
    const f = fixture();
    const base = f.base + 4n * PAGE;
    for (const i of upTo(4)) expect(f.mapFixed(base + i * 16n * PAGE, 8n * PAGE)).toBe("ok");
    expect(f.unmap(base - 4n * PAGE, 8n * PAGE).code).toBe("ENOENT");
    expect(f.unmap(base + 52n * PAGE, 8n * PAGE).code).toBe("ENOENT");
    expect(f.unmap(base - 4n * PAGE, 60n * PAGE)).toEqual({ code: "ok", length: 32n * PAGE });
  });

  it("area_auto_iova", () => {
    const f = fixture();
    const allOfLengths = (check: (iova: bigint, length: bigint) => void, userVa = BUFFER): void => {
      const mapped = upTo(10).map((i) => ({ length: (i + 1n) * PAGE, ...f.map((i + 1n) * PAGE, userVa) }));
      for (const { code, iova, length } of mapped) {
        expect(code).toBe("ok");
        expect(iova % lowestBit(length)).toBe(0n);
        check(iova, length);
      }
      for (const { iova, length } of mapped) expect(f.unmap(iova, length)).toEqual({ code: "ok", length });
    };
    const pages = upTo(10).map(() => f.map(PAGE));
    expect(new Set(pages.map(({ iova }) => iova)).size).toBe(10);
    for (const { iova } of pages) expect(f.unmap(iova, PAGE).code).toBe("ok");
    // Without a domain nobody looks whether anything is mapped there.
    allOfLengths(() => {}, hasDevice ? BUFFER : 1n << 31n);

    expect(addReserved(f, 4n * PAGE, 100n * PAGE)).toBe("ok");
    allOfLengths((iova, length) => expect(iova + length <= 4n * PAGE || iova >= 104n * PAGE).toBe(true));

    expect(allow(f, [PAGE, 600n * PAGE])).toBe("EADDRINUSE");
    const from = hasDevice ? MOCK_APERTURE_START + PAGE : 200n * PAGE;
    const last = (hasDevice ? MOCK_APERTURE_START : 0n) + 600n * PAGE - 1n;
    expect(allow(f, [from, last])).toBe("ok");
    allOfLengths((iova, length) => expect(iova >= from && iova + length - 1n <= last).toBe(true));
  });

  it("reserved_overflow", () => {
    const f = fixture();
    // What is left at the top is large enough, but not once it is aligned: the sum must not wrap.
    expect(addReserved(f, 6n, 0xffff_ffff_ffff_8001n)).toBe("ok");
    expect(f.map(5n * PAGE).code).toBe("ENOSPC");
  });

  it("area_allowed", () => {
    const f = fixture();
    expect(allow(f, [f.base, f.base + 600n * PAGE])).toBe("ok");
    expect(addReserved(f, f.base + PAGE, PAGE)).toBe("EADDRINUSE@attach");
    expect(allow(f)).toBe("ok");
    expect(addReserved(f, f.base + PAGE, PAGE)).toBe("ok");
    expect(allow(f, [f.base, f.base + 600n * PAGE])).toBe("EADDRINUSE");
    expect(allow(f, [f.base, f.base])).toBe("EINVAL");
    expect(allow(f, [f.base + 2n * PAGE, f.base + 3n * PAGE], [f.base + 3n * PAGE, f.base + 4n * PAGE])).toBe("EINVAL");
    expect(f.ioctl("IOAS_ALLOW_IOVAS", { ioasId: f.ioasId, reserved: 1 }).code).toBe("EOPNOTSUPP");
    expect(f.ioctl("IOAS_ALLOW_IOVAS", { ioasId: f.ioasId, numIovas: 1, allowedIovas: 8n }).code).toBe("EFAULT");
    expect(f.ioctl("IOAS_ALLOW_IOVAS", { ioasId: 77 }).code).toBe("ENOENT");
    // What is wrong with a range is told before the next is read, which is not there.
    for (const [last, code] of [
      [f.base, "EINVAL"],
      [f.base + PAGE, "EFAULT"],
    ] as const) {
      const one = new BigUint64Array([f.base, last]);
      const allowedIovas = f.user.at(2n * RANGES_VA, new Uint8Array(one.buffer));
      expect(f.ioctl("IOAS_ALLOW_IOVAS", { ioasId: f.ioasId, numIovas: 2, allowedIovas }).code).toBe(code);
    }
  });

  it("copy_area", () => {
    const f = fixture();
    expect(f.mapFixed(f.base, PAGE)).toBe("ok");
    const within = { srcIova: f.base, dstIova: f.base + PAGE, length: PAGE };
    expect(f.copy(within)).toBe("ok");
    const other = f.ioasAlloc();
    expect(f.copy({ ...within, dstIoasId: other, dstIova: 0n })).toBe("ok");
    // One backing: its page is pinned once, and both lead to it.
    expect(f.host.pinned).toBe(hasDevice ? 1 : 0);
    for (const { lookup } of f.host.domains.map((d) => ({ lookup: d.lookup.bind(d) })))
      expect(lookup(f.base + PAGE)).toBe(lookup(f.base));
    expect(f.unmap(f.base, PAGE).code).toBe("ok");
    expect(f.host.pinned).toBe(hasDevice ? 1 : 0);
    expect(f.unmap(f.base + PAGE, PAGE).code).toBe("ok");
    expect(f.host.pinned).toBe(0);
    expect(f.unmap(0n, PAGE, other)).toEqual({ code: "ok", length: PAGE });
  });

  it("iova_ranges", () => {
    const f = fixture();
    const all = hasDevice ? [MOCK_APERTURE_START, MOCK_APERTURE_LAST] : [0n, U64_MAX];
    const alignment = hasDevice ? MOCK_PAGE : 1n;
    expect(iovaRanges(f, 4)).toMatchObject({ code: "ok", total: 1, alignment, ranges: { 0: all } });
    expect(iovaRanges(f, 0)).toMatchObject({ code: "EMSGSIZE", total: 1, alignment, ranges: { 0: [0n, 0n] } });
    expect(addReserved(f, PAGE, PAGE)).toBe("ok");
    const [first, second] = hasDevice
      ? [all, [0n, 0n]]
      : [
          [0n, PAGE - 1n],
          [2n * PAGE, U64_MAX],
        ];
    const total = hasDevice ? 1 : 2;
    expect(iovaRanges(f, 4)).toMatchObject({ code: "ok", total, ranges: { 0: first, 1: second } });
    const code = hasDevice ? "ok" : "EMSGSIZE";
    expect(iovaRanges(f, 1)).toMatchObject({ code, total, ranges: { 0: first, 1: [0n, 0n] } });
    expect(f.ioctl("IOAS_IOVA_RANGES", { ioasId: f.ioasId, reserved: 1 }).code).toBe("EOPNOTSUPP");
    expect(f.ioctl("IOAS_IOVA_RANGES", { ioasId: f.ioasId, numIovas: 1, allowedIovas: 8n }).code).toBe("EFAULT");
  });

  it("ioas_option_huge_pages", () => {
    const f = fixture();
    const option = (op: number, val64: bigint) =>
      f.ioctl("OPTION", { optionId: IOMMU_OPTION_ID.HUGE_PAGES, op, val64, objectId: f.ioasId });
    expect(option(IOMMU_OPTION_OP.GET, 3n)).toMatchObject({ code: "ok", out: { val64: 1n } });
    expect(option(IOMMU_OPTION_OP.SET, 0n).code).toBe("ok");
    expect(option(IOMMU_OPTION_OP.GET, 3n)).toMatchObject({ code: "ok", out: { val64: 0n } });
    expect(option(IOMMU_OPTION_OP.SET, 2n).code).toBe("EINVAL");
    expect(option(IOMMU_OPTION_OP.SET, 1n).code).toBe("ok");
    expect(option(2, 1n).code).toBe("EOPNOTSUPP");
  });

  it("ioas_iova_alloc", () => {
    const f = fixture();
    // Every length would say the same: the first, those about each multiple of the mock's page, and a stride of a prime.
    const lengths = upTo(Number(2n * PAGE)).filter((n) => n < 3n || n % 97n === 0n || (n + 1n) % MOCK_PAGE < 3n);
    for (const length of lengths.slice(1)) {
      const { code, iova } = f.map(length);
      expect(code).toBe(hasDevice && length % MOCK_PAGE !== 0n ? "EINVAL" : "ok");
      if (code === "ok") expect(f.unmap(iova, length)).toEqual({ code: "ok", length });
    }
  });

  it("ioas_align_change", () => {
    const f = fixture();
    const at = MOCK_APERTURE_START;
    const hugePages = (val64: bigint): string =>
      f.ioctl("OPTION", { optionId: IOMMU_OPTION_ID.HUGE_PAGES, val64, objectId: f.ioasId }).code;
    expect(f.mapFixed(at, PAGE)).toBe("ok");
    if (hasDevice) {
      // What is mapped in a domain may be mapped by leaves that are too large.
      expect(hugePages(0n)).toBe("EINVAL");
      return;
    }
    expect(hugePages(0n)).toBe("ok");
    expect(f.mapFixed(at + PAGE, PAGE, BUFFER + MOCK_PAGE)).toBe("EINVAL");
    expect(hugePages(0n)).toBe("ok");
    expect(hugePages(1n)).toBe("ok");
    expect(f.mapFixed(at + PAGE, PAGE, BUFFER + MOCK_PAGE)).toBe("ok");
    expect(hugePages(0n)).toBe("EADDRINUSE");
    expect(f.unmap(at + PAGE, PAGE).code).toBe("ok");
    expect(f.unmap(at, PAGE).code).toBe("ok");
  });

  it("copy_sweep", () => {
    const f = fixture();
    const at = MOCK_APERTURE_START;
    const last = at + BUFFER_SIZE - (hasDevice ? 1n : 2n);
    const dstIoasId = f.ioasAlloc();
    expect(f.mapFixed(at, last - at + 1n)).toBe("ok");
    for (let srcIova = at - PAGE; srcIova <= last; srcIova += 511n) {
      const code = f.copy({ dstIoasId, srcIova, dstIova: at, length: MOCK_PAGE });
      const isInside = srcIova >= at && srcIova + MOCK_PAGE - 1n <= last;
      expect(code).toBe(isInside ? "ok" : "ENOENT");
      if (isInside) expect(f.unmap(at, MOCK_PAGE, dstIoasId)).toEqual({ code: "ok", length: MOCK_PAGE });
    }
    expect(f.ioctl("DESTROY", { id: dstIoasId }).code).toBe("ok");
  });
});
