/** The checks of `IOMMU_IOAS_MAP_FILE`, in the kernel's order. Linux 7.3: drivers/iommu/iommufd. */
import { type DmaBuf, DmaBufError, type ErrnoName, hex, isPageAligned, PAGE_SIZE } from "@dma-buf/core";

export interface MapFile {
  readonly buf: DmaBuf;
  /** Where in the buffer the area begins, bytes. */
  readonly start: number;
  /** Bytes. */
  readonly length: number;
  /** 64 bits in the uAPI: converted and checked here, once. */
  readonly iova: bigint;
}

/** An area of the IOAS: occupied until it is unmapped, also while nothing is translated in it. */
export interface Area {
  readonly iova: number;
  readonly sizeBytes: number;
}

const WIDTH_BITS = 48n;

/** @throws DmaBufError at stage `map`. @returns the IOVA as a Number */
export function checkMapFile({ buf, start, length, iova }: MapFile, areas: readonly Area[]): number {
  if (length === 0) refuse("EINVAL", "length is 0: map at least one page");
  if (iova < 0n || iova + BigInt(length) > 1n << WIDTH_BITS)
    refuse("EOVERFLOW", `0x${iova.toString(16)} + ${hex(length)} is beyond ${WIDTH_BITS} bits`);
  const at = Number(iova);
  for (const [name, value] of Object.entries({ iova: at, start, length }))
    if (!isPageAligned(value)) refuse("EINVAL", `${name} ${hex(value)} is not a multiple of ${PAGE_SIZE}: align it`);
  if (start + length > buf.sizeBytes)
    refuse("EINVAL", `start ${hex(start)} + length ${hex(length)} is beyond the buffer of ${hex(buf.sizeBytes)} bytes`);
  const other = areas.find((a) => at < a.iova + a.sizeBytes && a.iova < at + length);
  if (other) refuse("EEXIST", `${hex(at)} overlaps the area at ${hex(other.iova)}: unmap it first`);
  return at;
}

function refuse(code: ErrnoName, message: string): never {
  throw new DmaBufError(code, { op: "IOMMU_IOAS_MAP_FILE", stage: "map", message });
}
