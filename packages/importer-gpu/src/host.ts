/** What this importer needs of the machine under it: one GPU that does DMA, and memory for its page tables. */
import type { AccessResult, Device, FabricAddr, Op, SystemMemory, TableMemory } from "@dma-buf/core";

/** The way beside PCI to other devices' memory: XGMI, NVLink. It is the fabric of the GPU's `device-private` space. */
export interface GpuFabric {
  /** Sleeps until it arrives. */
  write(address: FabricAddr, bytes: Uint8Array): Op<AccessResult>;
  read(address: FabricAddr, sizeBytes: number): Op<AccessResult>;
}

/** One GPU. `@dma-buf/machine`'s device, memory and tables fit it; so could a wrapper of real hardware. */
export interface GpuHost {
  /** The function: its DMA API, the spaces it is in, and its accesses by DMA address. */
  readonly device: Device;
  /** Whether a page frame is RAM: asked where a contract hands out frames without saying so. */
  readonly memory: SystemMemory;
  /** Where the page tables of the GPU's own MMU lie. */
  readonly tables: TableMemory;
  /** @defaultValue none: fabric addresses are refused */
  readonly fabric?: GpuFabric | undefined;
}
