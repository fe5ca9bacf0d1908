/** The checks of `VFIO_DEVICE_FEATURE_DMA_BUF`, in the kernel's order. Linux 7.3: drivers/vfio/pci/vfio_pci_dmabuf.c. */
import { addr, DmaBufError, type Env, type ErrnoName, PAGE_SIZE, type PhysAddr } from "@dma-buf/core";
import type { PhysVec } from "@dma-buf/scatterlist";
import type { VfioHost, VfioRegion } from "./host.js";
import { isU64, shown, U64_REMEDY } from "./shape.js";

/**
 * A part of a BAR, bytes from its start: what userspace writes, 64 bits each. Linux: `struct vfio_region_dma_range`.
 * A Number is as good as a bigint where it is exact.
 */
export interface DmaRange {
  readonly offset: number | bigint;
  readonly length: number | bigint;
}

/** Where allocations are told to fail: `framework.env`. */
export type Allocator = Pick<Env, "alloc">;

export interface Checks {
  /** Injected failures of the two allocations. @defaultValue none fails */
  readonly env?: Allocator;
  /** Is an empty range taken, which adds nothing? The exporter as posted until 2025 held only its alignment against it. */
  readonly takesEmpty?: boolean;
  /**
   * Does a range that ends with a BAR smaller than a page have the rest of that page? A mapping of the region does: VFIO keeps
   * it free. Linux: `vfio_pci_probe_mmaps()`.
   */
  readonly byPage?: boolean;
}

interface Bytes {
  readonly offset: bigint;
  readonly length: bigint;
}

/** BARs are regions 0 to 5; the ROM is 6, config space 7, VGA 8. */
export const BARS = 6;
/** No `kmalloc()` gives more: 2^10 pages, bytes. Linux: `KMALLOC_MAX_SIZE`. */
const KMALLOC_MAX_BYTES = 4 << 20;
/** `struct vfio_region_dma_range` and `struct phys_vec` have the same size, bytes. */
export const RANGE_BYTES = 16;
const U64 = 1n << 64n;
/** A size with this bit is taken by the DMA API for a mark. Linux: `DMA_IOVA_USE_SWIOTLB`. */
const SWIOTLB_MARK = 1n << 63n;

/**
 * Where `ranges` of a BAR are, in their order. They may overlap, repeat and come in any order; neighbours are not merged.
 * Nothing is kept. The first rule that is broken decides, range by range, as in Linux.
 * @throws DmaBufError at stage `export`: `EINVAL` no range, one that is empty or not page aligned, more bytes together
 * than a buffer can have, a BAR that is no peer-to-peer provider, or a range beyond its end · `ENODEV` no such BAR, or
 * not claimed · `ENOMEM` more ranges than one allocation holds · `EOVERFLOW` an end beyond 64 bits
 */
export function physVecs(
  host: VfioHost,
  regionIndex: number,
  ranges: readonly DmaRange[],
  { env, takesEmpty = false, byPage = false }: Checks = {},
): PhysVec[] {
  needRanges(ranges.length);
  const claimed = claimedBar(host, regionIndex);
  const region = byPage ? wholePages(claimed) : claimed;
  const wanted = byPage ? ranges.map((range) => toPageEnd(range, claimed)) : ranges;
  const bytes = wanted.map(({ offset, length }) => ({ offset: u64("offset", offset), length: u64("length", length) }));
  checkInput(bytes, takesEmpty);
  needMemory(env, "vfio_pci_core_feature_dma_buf", 1);
  needMemory(env, "vfio_pci_core_feature_dma_buf", bytes.length);
  if (!host.provider(regionIndex))
    throw refusal("EINVAL", `BAR ${regionIndex} of ${host.name} offers no peer-to-peer memory: choose a memory BAR`, {
      regionIndex,
    });
  return bytes.map((range) => fill(range, region)).filter(({ sizeBytes }) => sizeBytes > 0);
}

/** @throws DmaBufError `EINVAL` for none */
export function needRanges(count: number): void {
  if (count === 0) throw refusal("EINVAL", "no range: name at least one", { ranges: 0 });
}

/** @throws DmaBufError `ENODEV` the region is no BAR, or one that is not there */
export function claimedBar(host: VfioHost, regionIndex: number): VfioRegion {
  const region = Number.isInteger(regionIndex) && regionIndex >= 0 && regionIndex < BARS && host.region(regionIndex);
  if (region) return region;
  throw refusal("ENODEV", `${host.name} has no BAR ${regionIndex}, or it is not claimed: choose one that it has`, {
    regionIndex,
  });
}

/**
 * Room for `count` ranges. `op` is the kernel's function that asks.
 * @throws DmaBufError `ENOMEM`
 */
export function needMemory(env: Allocator | undefined, op: string, count: number): void {
  if (count * RANGE_BYTES > KMALLOC_MAX_BYTES)
    throw refusal(
      "ENOMEM",
      `${count} ranges take ${count * RANGE_BYTES} bytes, and kmalloc() gives ${KMALLOC_MAX_BYTES} at most: name fewer`,
      { count },
    );
  env?.alloc({ id: `vfio/${op}`, op, stage: "export", source: "Linux 7.3, drivers/vfio/pci/vfio_pci_dmabuf.c" });
}

/** A BAR with the rest of its last page: one smaller than a page has its page for itself. */
export function wholePages({ physical, sizeBytes }: VfioRegion): VfioRegion {
  return { physical, sizeBytes: Math.ceil(sizeBytes / PAGE_SIZE) * PAGE_SIZE };
}

function toPageEnd(range: DmaRange, { sizeBytes }: VfioRegion): DmaRange {
  if (Number(range.offset) + Number(range.length) !== sizeBytes) return range;
  return {
    offset: range.offset,
    length: wholePages({ physical: addr(0), sizeBytes }).sizeBytes - Number(range.offset),
  };
}

function u64(name: string, value: number | bigint): bigint {
  if (isU64(value)) return BigInt(value);
  throw refusal("EINVAL", `${name} ${shown(value)} is no unsigned 64-bit value: ${U64_REMEDY}`, { [name]: value });
}

/** Shape first, range by range, and the sum on the way. Linux: `validate_dmabuf_input()`. */
function checkInput(ranges: readonly Bytes[], takesEmpty: boolean): void {
  let sum = 0n;
  for (const range of ranges) {
    checkShape(range, takesEmpty);
    sum += range.length;
    if (sum >= U64)
      throw refusal("EINVAL", `the ranges have ${sum} bytes together, beyond 64 bits: name fewer`, { sum });
  }
  if (sum & SWIOTLB_MARK)
    throw refusal("EINVAL", `the ranges have ${hex64(sum)} bytes together: stay below 2^63, a mark of the DMA API`, {
      sum,
    });
}

function checkShape({ offset, length }: Bytes, takesEmpty: boolean): void {
  const values = { offset, length };
  if (length === 0n && !takesEmpty)
    throw refusal("EINVAL", "length is 0: an exported range has at least one page", values);
  for (const [name, value] of Object.entries(values))
    if (value % BigInt(PAGE_SIZE) !== 0n)
      throw refusal("EINVAL", `${name} ${value} is not a multiple of the page of ${PAGE_SIZE} bytes: align it`, values);
}

/** Addresses, of 64 bits, before bounds. Linux: `vfio_pci_core_fill_phys_vec()`. */
function fill({ offset, length }: Bytes, { physical, sizeBytes }: VfioRegion): PhysVec {
  const values = { offset, length, sizeBytes };
  const at = BigInt(physical) + offset;
  const range = `range ${hex64(offset)}+${hex64(length)}`;
  if (at + length >= U64)
    throw refusal(
      "EOVERFLOW",
      `${range} of the BAR at ${hex64(BigInt(physical))} ends beyond 64 bits: lower it`,
      values,
    );
  if (offset + length > BigInt(sizeBytes))
    throw refusal(
      "EINVAL",
      `${range} ends beyond the BAR, which has ${hex64(BigInt(sizeBytes))} bytes: shorten it`,
      values,
    );
  return { physical: addr<PhysAddr>(Number(at)), sizeBytes: Number(length) };
}

export function refusal(code: ErrnoName, message: string, values: Record<string, unknown> = {}): DmaBufError {
  return new DmaBufError(code, { op: "VFIO_DEVICE_FEATURE_DMA_BUF", stage: "export", message, values });
}

function hex64(value: bigint): string {
  return `0x${value.toString(16)}`;
}
