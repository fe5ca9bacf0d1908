/** What this importer needs of the machine under it: one GPU that does DMA, and memory for its page tables. */
import type { AccessResult, Device, FabricAddr, Op, PhysAddr, SystemMemory, TableMemory } from "@dma-buf/core";

/** The way beside PCI to other devices' memory: XGMI, NVLink. It is the fabric of the GPU's `device-private` space. */
export interface GpuFabric {
  /** Sleeps until it arrives. */
  write(address: FabricAddr, bytes: Uint8Array): Op<AccessResult>;
  read(address: FabricAddr, sizeBytes: number): Op<AccessResult>;
}

/** A virtual function of this GPU: its BAR is another way to the slice of the GPU's own memory that it was given. */
export interface GpuVirtualFunction {
  readonly name: string;
  /** Where the CPU sees it; on the bus it lies `busOffsetBytes` lower. It may be larger than the slice. */
  readonly bar: { readonly physical: PhysAddr; readonly sizeBytes: number };
  readonly busOffsetBytes: number;
  /** What the BAR shows, from its beginning, by the GPU's own address. Behind it is somebody else's. */
  readonly slice: { readonly base: FabricAddr; readonly sizeBytes: number };
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
  /**
   * Told a page frame or a bus address in the BAR of one, the GPU goes to its own memory, by way of `fabric`. A DMA address
   * does not say where it is valid, and goes over the bus. @defaultValue none
   */
  readonly virtualFunctions?: readonly GpuVirtualFunction[] | undefined;
}
