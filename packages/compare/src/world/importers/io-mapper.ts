/** Who maps buffers for the DMA of a device, at addresses of the VMM's choice: iommufd, or vfio type1 before it. */
import type { DmaAddr, DmaBuf, Op } from "@dma-buf/core";
import type { MachineDevice, MachineDomain } from "@dma-buf/machine";

/** Bytes `[offset, offset + sizeBytes)` of the buffer, at `iova`. */
export interface IoRange {
  readonly offset: number;
  readonly sizeBytes: number;
  readonly iova: DmaAddr;
}

export interface IoMapper {
  /** As it stands in a verdict's rule. */
  readonly name: string;
  /** The device that does DMA through it. */
  readonly device: MachineDevice;
  /** What {@link device} is attached to; `null` before the first {@link map}. */
  readonly domain: MachineDomain | null;
  /** @throws DmaBufError what refuses; nothing stays */
  map(buf: DmaBuf, range: IoRange): Op<void>;
  /** A whole range that was mapped. */
  unmap(range: IoRange): Op<void>;
  close(): Op<void>;
}
