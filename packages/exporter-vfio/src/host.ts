/** What this exporter needs of the machine under it: one function that is assigned through VFIO. */
import type { P2pProvider, PhysAddr } from "@dma-buf/core";

export interface VfioHost {
  /** The function's address: `0000:01:00.0`. */
  readonly name: string;
  /** The memory BAR with this index (0 to 5), or `null`: not a memory BAR, not implemented. Bytes. */
  region(index: number): { readonly physical: PhysAddr; readonly sizeBytes: number } | null;
  /** The BAR as a peer-to-peer provider, or `null` where it is none. */
  provider(index: number): P2pProvider | null;
  /** COMMAND.MEMORY as the guest sees it. */
  readonly memoryEnabled: boolean;
  setMemoryEnabled(on: boolean): void;
}
