/** What this exporter needs of the machine under it: one function that is assigned through VFIO. */
import type { MaySleep, Op, P2pProvider, PhysAddr } from "@dma-buf/core";

/** Where a BAR is, or a range of it, for the CPU. */
export interface VfioRegion {
  readonly physical: PhysAddr;
  /** Bytes. */
  readonly sizeBytes: number;
}

/** One function. A simulator's `VfioPciDevice` fits it; so could a wrapper of real hardware. */
export interface VfioHost {
  /** The function's address: `0000:01:00.0`. */
  readonly name: string;
  /** The BAR with this index (0 to 5), memory or I/O; `null`: not implemented, or not claimed. */
  region(index: number): VfioRegion | null;
  /** The BAR as a peer-to-peer provider; `null`: an I/O BAR, or one that offers none. */
  provider(index: number): P2pProvider | null;
  /** COMMAND.MEMORY as the guest sees it; always true for a virtual function, which has no such bit. */
  readonly memoryEnabled: boolean;
  /** Writes COMMAND.MEMORY: stores that were sent before arrive before. */
  writeMemoryEnabled(on: boolean): Op<void>;
  readonly powerState: "D0" | "D3hot" | "D3cold";
  /** @throws DmaBufError `EBUSY` it has virtual functions that are in use */
  setPowerState(to: "D0" | "D3hot" | "D3cold"): MaySleep<void>;
  /** Did a reset work when the function was opened? Linux: `reset_works`. */
  readonly canReset: boolean;
  /** Does its capability offer a function level reset? Else a guest that asks for one gets none. */
  readonly hasFlr: boolean;
  /** Resets the function. Linux: `pci_try_reset_function()`. @throws DmaBufError `EAGAIN`, `ENODEV` */
  reset(): Op<void>;
  /** Stops the device's trusted interface, where the platform has such: firmware wants that before its memory goes. */
  readonly trustedIo?: { stop(): Op<void> };
}
