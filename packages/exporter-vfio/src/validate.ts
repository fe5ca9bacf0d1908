/** The checks of `VFIO_DEVICE_FEATURE_DMA_BUF`, in the kernel's order. Linux 7.3: drivers/vfio/pci/vfio_pci_dmabuf.c. */
import { addr, DmaBufError, type ErrnoName, hex, isPageAligned, PAGE_SIZE, type PhysAddr } from "@dma-buf/core";
import type { VfioHost } from "./host.js";

/** A part of a BAR, bytes from its start. Linux: `struct vfio_region_dma_range`. */
export interface DmaRange {
  readonly offset: number;
  readonly length: number;
}

/** A part of a BAR, by CPU-physical address. Linux: `struct phys_vec`. */
export interface PhysVec {
  readonly physical: PhysAddr;
  readonly sizeBytes: number;
}

/** BARs are regions 0 to 5; the ROM is 6. */
const BARS = 6;

/** @throws DmaBufError `ENODEV` no such BAR · `EINVAL` no range, empty, unaligned, or beyond the BAR. Stage `export`. */
export function physVecs(host: VfioHost, regionIndex: number, ranges: readonly DmaRange[]): PhysVec[] {
  if (ranges.length === 0) refuse("EINVAL", "no range: name at least one", { ranges: 0 });
  const region = regionIndex >= 0 && regionIndex < BARS ? host.region(regionIndex) : null;
  if (!region)
    return refuse("ENODEV", `${host.name} has no memory BAR ${regionIndex}: choose one that it has`, { regionIndex });
  for (const range of ranges) checkShape(range);
  return ranges.map((range) => {
    if (range.offset + range.length > region.sizeBytes)
      refuse(
        "EINVAL",
        `range ${hex(range.offset)}+${hex(range.length)} ends beyond BAR ${regionIndex} of ${host.name}, ` +
          `which has ${hex(region.sizeBytes)} bytes: shorten it`,
        { ...range },
      );
    return { physical: addr<PhysAddr>(region.physical + range.offset), sizeBytes: range.length };
  });
}

function checkShape({ offset, length }: DmaRange): void {
  const values = { offset, length };
  if (length === 0) refuse("EINVAL", "length is 0: an exported range has at least one page", values);
  for (const [name, value] of Object.entries(values))
    if (!Number.isSafeInteger(value) || value < 0 || !isPageAligned(value))
      refuse("EINVAL", `${name} ${value} is not a multiple of the page of ${PAGE_SIZE} bytes: align it`, values);
}

function refuse(code: ErrnoName, message: string, values: Record<string, unknown>): never {
  throw new DmaBufError(code, { op: "VFIO_DEVICE_FEATURE_DMA_BUF", stage: "export", message, values });
}
