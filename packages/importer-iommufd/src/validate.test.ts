import { type DmaBuf, DmaBufError } from "@dma-buf/core";
import { expect, it } from "vitest";
import { checkMapFile, type MapFile } from "./validate.js";

const buf = { sizeBytes: 0x10000 } as DmaBuf;
const map = (change: Partial<MapFile> = {}): MapFile => ({
  buf,
  start: 0,
  length: 0x10000,
  iova: 0x100000n,
  ...change,
});
const area = { iova: 0x100000, sizeBytes: 0x10000 };

it.each<[string, MapFile, (typeof area)[], number | string]>([
  ["whole buffer", map(), [], 0x100000],
  ["beside another", map({ iova: 0x110000n }), [area], 0x110000],
  ["the last page of 48 bits", map({ iova: (1n << 48n) - 0x10000n }), [], 2 ** 48 - 0x10000],
  ["empty", map({ length: 0 }), [], "EINVAL"],
  ["unaligned IOVA", map({ iova: 0x100800n }), [], "EINVAL"],
  ["unaligned start", map({ start: 0x800, length: 0x1000 }), [], "EINVAL"],
  ["beyond the buffer", map({ start: 0x1000 }), [], "EINVAL"],
  ["beyond 48 bits", map({ iova: 1n << 63n }), [], "EOVERFLOW"],
  ["negative", map({ iova: -0x1000n }), [], "EOVERFLOW"],
  ["overlapping", map({ iova: 0x10f000n }), [area], "EEXIST"],
])("%s: %s", (_name, what, areas, expected) => {
  let found: number | string;
  try {
    found = checkMapFile(what, areas);
  } catch (error) {
    found = error instanceof DmaBufError ? error.code : String(error);
  }
  expect(found).toBe(expected);
});
