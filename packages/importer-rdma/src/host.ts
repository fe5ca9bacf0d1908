/** What an RDMA driver needs of the machine under it: the functions of the device, which do its DMA. */
import type { Device, DmaAddr, DmaApi, SystemMemory } from "@dma-buf/core";

/** The rest of the DMA API that a driver calls which made the mapping itself. Neither call sleeps. */
export interface DmaSync {
  /** After the device wrote: the bytes of a bounce buffer go to the memory that it stands for. Linux: `dma_sync_single_for_cpu()`. */
  syncForCpu(address: DmaAddr, sizeBytes: number): void;
  /** Before the device reads: the other way round. Linux: `dma_sync_single_for_device()`. */
  syncForDevice(address: DmaAddr, sizeBytes: number): void;
}

/** A PCI function of the device. A host whose DMA API bounces nothing has no sync. */
export interface RdmaFunction extends Device {
  readonly dma: DmaApi & Partial<DmaSync>;
}

/** A host channel adapter. */
export interface RdmaHost {
  /**
   * The functions that it does DMA with; the first is the one that it is driven by. Of two, one may reach a peer that the
   * other does not: mlx5 calls the second its data-direct function.
   */
  readonly functions: readonly RdmaFunction[];
  /** Is a page frame RAM? Asked by who maps page frames. */
  readonly memory: SystemMemory;
}
