/** The DMA API of one device, as the machine offers it: core's calls, and what else drivers ask of it. */
import type { DmaAddr, DmaApi } from "@dma-buf/core";

/** None of these calls sleeps. */
export interface DeviceDma extends DmaApi {
  /** The largest mapping that a bounce buffer cannot make fail, bytes; `Infinity`: no limit. Linux: `dma_max_mapping_size()`. */
  readonly maxMappingBytes: number;
  /** Before a CPU reads what the device wrote: a bounce buffer's bytes come to the original, but for `to-device`. */
  syncForCpu(address: DmaAddr, sizeBytes: number): void;
  /** Before the device reads what a CPU wrote: the original's bytes go to the bounce buffer, but for `from-device`. */
  syncForDevice(address: DmaAddr, sizeBytes: number): void;
  /** Mappings and IOVA states that were not given back. */
  readonly live: number;
}
