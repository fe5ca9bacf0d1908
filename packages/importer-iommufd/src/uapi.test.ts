/** The layouts, byte by byte, as a compiler lays out the structs of include/uapi/linux/iommufd.h. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { StructLayout } from "./struct-layout.js";
import { decodeIommu, encodeIommu, IOMMU_IOCTL, type IommuIoctl, STRUCTS } from "./uapi.js";

/** By number: bytes, the least of them, and where each field begins, as the C compiler tells. */
const COMPILED: readonly (readonly [IommuIoctl, number, number, number, string])[] = [
  ["DESTROY", 0x80, 8, 8, "id4"],
  ["IOAS_ALLOC", 0x81, 12, 12, "flags4 outIoasId8"],
  ["IOAS_ALLOW_IOVAS", 0x82, 24, 24, "ioasId4 numIovas8 reserved12 allowedIovas16"],
  ["IOAS_COPY", 0x83, 40, 40, "flags4 dstIoasId8 srcIoasId12 length16 dstIova24 srcIova32"],
  ["IOAS_IOVA_RANGES", 0x84, 32, 32, "ioasId4 numIovas8 reserved12 allowedIovas16 outIovaAlignment24"],
  ["IOAS_MAP", 0x85, 40, 40, "flags4 ioasId8 reserved12 userVa16 length24 iova32"],
  ["IOAS_UNMAP", 0x86, 24, 24, "ioasId4 iova8 length16"],
  ["OPTION", 0x87, 24, 24, "optionId4 op8 reserved10 objectId12 val6416"],
  [
    "HWPT_ALLOC",
    0x89,
    48,
    24,
    "flags4 devId8 ptId12 outHwptId16 reserved20 dataType24 dataLen28 dataUptr32 faultId40 reserved244",
  ],
  ["IOAS_MAP_FILE", 0x8f, 40, 40, "flags4 ioasId8 fd12 start16 length24 iova32"],
  ["IOAS_CHANGE_PROCESS", 0x92, 8, 8, "reserved4"],
];

it.each(COMPILED)("%s", (name, nr, sizeBytes, minBytes, offsets) => {
  const { sizeBytes: size, minBytes: min = size, fields }: StructLayout = STRUCTS[name];
  expect(IOMMU_IOCTL[name]).toBe(0x3b00 + nr);
  expect([size, min]).toEqual([sizeBytes, minBytes]);
  expect(
    Object.entries(fields)
      .map(([field, [at]]) => `${field}${at}`)
      .join(" "),
  ).toBe(offsets);
});

it("there is no other", () => expect(COMPILED.map(([name]) => name)).toEqual(Object.keys(STRUCTS)));

describe("bytes", () => {
  it("are little endian, and begin with the size", () => {
    const bytes = encodeIommu("IOAS_MAP_FILE", { flags: 7, fd: -1, start: 0x0102_0304_0506_0708n });
    expect(Array.from(bytes.subarray(0, 24))).toEqual(
      [
        [40, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0],
        [255, 255, 255, 255, 8, 7, 6, 5, 4, 3, 2, 1],
      ].flat(),
    );
  });

  it.each<[string, () => unknown]>([
    ["a u32 above", () => encodeIommu("DESTROY", { id: 2 ** 32 })],
    ["a u32 below", () => encodeIommu("DESTROY", { id: -1 })],
    ["a fraction", () => encodeIommu("DESTROY", { id: 0.5 })],
    ["a u16 above", () => encodeIommu("OPTION", { op: 0x1_0000 })],
    ["an s32 above", () => encodeIommu("IOAS_MAP_FILE", { fd: 2 ** 31 })],
    ["a u64 above", () => encodeIommu("IOAS_UNMAP", { iova: 1n << 64n })],
    ["a u64 below", () => encodeIommu("IOAS_UNMAP", { iova: -1n })],
    ["a Number for a u64", () => encodeIommu("IOAS_UNMAP", { iova: 1 as unknown as bigint })],
    ["a bigint for a u32", () => encodeIommu("DESTROY", { id: 1n as unknown as number })],
    ["no such field", () => encodeIommu("DESTROY", { iova: 1n } as never)],
  ])("%s: RangeError", (_name, act) => expect(act).toThrow(RangeError));

  it("what is encoded is decoded, whatever it is", () => {
    const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
    const mapFile = fc.record({ flags: u32, ioasId: u32, fd: fc.integer(), start: u64, length: u64, iova: u64 });
    fc.assert(
      fc.property(mapFile, (values) => {
        expect(decodeIommu("IOAS_MAP_FILE", encodeIommu("IOAS_MAP_FILE", values))).toEqual(values);
      }),
    );
  });
});
