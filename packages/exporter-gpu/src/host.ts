/** What this exporter needs of the machine under it: one GPU with memory of its own. */
import type { FabricAddr, Op, P2pProvider, PhysAddr } from "@dma-buf/core";

/** Where a buffer's bytes are: the GPU's own memory, or system RAM that the GPU reaches. */
export type Domain = "vram" | "gtt";

/** Consecutive bytes: of VRAM, counted from its beginning, or of RAM by CPU-physical address. Whole pages. */
export interface Block {
  readonly start: number;
  readonly sizeBytes: number;
}

/** Memory of one domain, in the order of a buffer's bytes. Linux: `struct ttm_resource`. */
export interface Place {
  readonly domain: Domain;
  readonly blocks: readonly Block[];
}

/** The GPU as the exporter's driver has it. */
export interface GpuHost {
  /** The function's address: `0000:03:00.0`. */
  readonly name: string;
  /** Whole pages. */
  readonly vramBytes: number;
  /**
   * Visible VRAM: what of it, from its beginning, CPUs and PCI peers see through a BAR; `null`: nothing. A small BAR shows less than
   * there is.
   */
  readonly window: { readonly physical: PhysAddr; readonly sizeBytes: number } | null;
  /** The BAR as a peer-to-peer provider, or `null` where it is none. */
  readonly provider: P2pProvider | null;
  /** The fabric on which all of VRAM begins at `base`, or `null`: it is in none. */
  readonly fabric: { readonly fabric: object; readonly base: FabricAddr } | null;

  /** Keeps the GPU awake if it is. `false`: it sleeps, and nothing was taken. Linux: `pm_runtime_get_if_active()`. */
  runtimeGetIfActive(): boolean;
  /** Wakes the GPU and keeps it awake. Linux: `pm_runtime_get_sync()`. */
  runtimeGet(): Op<void>;
  /** Gives either back. */
  runtimePut(): void;

  /** Pages of RAM, zeroed or not, wherever they are; `null` when there are not so many. The caller frees them. */
  allocPages(pages: number): readonly Block[] | null;
  freePages(blocks: readonly Block[]): void;
  /**
   * A kernel mapping of RAM or of what the BAR shows, by CPU-physical address, one page after the other; where it begins.
   * The caller unmaps it.
   */
  vmap(blocks: readonly Block[]): number;
  vunmap(address: number): void;

  /**
   * The copy engine: as many bytes as `from` has. Sleeps until all are written. When it throws, the copy has failed: as with
   * TTM the buffer is at `to` all the same, since importers may have its addresses already, and its bytes are undefined;
   * `from` is given back, the fence of the move has the errno, and who moved gets `EIO` with what was thrown as the cause.
   */
  copy(from: Place, to: Place): Op<void>;
  /** Overwrites what is given up, so that nobody reads what was there. Linux: `AMDGPU_GEM_CREATE_VRAM_WIPE_ON_RELEASE`. */
  wipe(place: Place): void;
}
