/**
 * What a host must offer to plugins: the interfaces that **two** plugins share. What only one plugin needs
 * (config space for VFIO, vCPUs for KVM), that plugin states itself as its own `Host`.
 * `@dma-buf/machine` fits these structurally; another simulator, or real hardware, could be a second host.
 */
import type { BusAddr, DmaAddr, PhysAddr } from "./address.js";
import type { Op } from "./op.js";
import type { Direction, Space } from "./run.js";

/** How peer-to-peer traffic between two functions travels. Linux: `enum pci_p2pdma_map_type`. */
export type P2pMapType = "bus-address" | "through-host-bridge" | "not-supported";

/** The kernel's answer for one provider and one client, with the rule that decided. */
export interface P2pVerdict {
  readonly mapType: P2pMapType;
  /** Hops between the two; -1 when not supported. */
  readonly distance: number;
  /** One line: which port, bit or list decided. */
  readonly reason: string;
}

/** A BAR that offers peer-to-peer memory. Linux: `struct p2pdma_provider`. */
export interface P2pProvider {
  /** `bus address = CPU physical address - busOffsetBytes` below the provider's host bridge. */
  readonly busOffsetBytes: number;
  /** As it was when it was first asked for. May be called without locks; does not sleep. Linux: `pci_p2pdma_map_type()`. */
  verdict(client: Device): P2pVerdict;
  /**
   * The same, computed anew, which {@link verdict} says from then on. A host without it keeps no answers. Linux:
   * `pci_p2pdma_distance()`.
   */
  distance?(client: Device): P2pVerdict;
}

/** The attributes of `dma_map_phys()` that the project uses. */
export interface DmaMapAttributes {
  /** Linux: `DMA_ATTR_MMIO`: device memory; never bounced, never cached. */
  readonly mmio: boolean;
  /**
   * Linux: `DMA_ATTR_SKIP_CPU_SYNC`: at unmap, what the device wrote into a bounce buffer is not copied back.
   * @defaultValue false
   */
  readonly skipCpuSync?: boolean;
  /**
   * Linux: `DMA_ATTR_REQUIRE_COHERENT`: device and CPU must reach the same bytes, so what would bounce is refused with `EIO`.
   * @defaultValue false
   */
  readonly requireCoherent?: boolean;
}

/**
 * The DMA API for one device: it knows the device's default domain and nothing about PCI peers. None of these calls
 * sleeps; those of {@link DmaIovaState} that do are `Op`s.
 */
export interface DmaApi {
  /** How many address bits the device drives: what lies beyond, it cannot put on its bus. Linux: `dma_get_mask()`. */
  readonly maskBits: number;
  /**
   * Makes `[physical, physical + sizeBytes)` reachable for the device. Linux: `dma_map_phys()`.
   * @throws DmaBufError `ENOMEM` when the address is beyond the device's mask or no IOVA is left; `EIO` when it would
   * bounce and must not.
   */
  mapPhys(physical: PhysAddr, sizeBytes: number, direction: Direction, attributes: DmaMapAttributes): DmaAddr;
  /** Takes a mapping back; whether the IOTLB is flushed at once is the domain's flush mode. */
  unmapPhys(address: DmaAddr, sizeBytes: number, attributes?: DmaMapAttributes): void;
  /**
   * IOVAs without a mapping yet, enough for `sizeBytes` from `physical` on. `null` where the device needs none, or none is
   * left: map with `mapPhys()` then. The caller destroys it. Linux: `dma_iova_try_alloc()`.
   */
  tryAllocIova(physical: PhysAddr, sizeBytes: number): DmaIovaState | null;
}

/** IOVAs that are filled piece by piece. Linux: `struct dma_iova_state`. Offsets and sizes are bytes from `address` on. */
export interface DmaIovaState {
  /** Where the first byte will be. */
  readonly address: DmaAddr;
  readonly sizeBytes: number;
  /**
   * Maps a piece. The device reaches it at once; hardware with a not-present cache would not, before {@link sync}.
   * @throws DmaBufError `EADDRINUSE` it is linked already (Arm: `EEXIST`) · `EPERM` an unaligned piece of MMIO that an untrusted device
   * would need bounced · `EINVAL` empty, beyond the IOVAs, or they were given back · `ENOMEM` no table left, or unaligned
   * RAM of an untrusted device: Linux bounces that, which is not modelled here
   */
  link(offset: number, physical: PhysAddr, sizeBytes: number, direction: Direction, attributes: DmaMapAttributes): void;
  /** Flushes for *map*. The modelled IOMMUs cache no missing entries, so nothing is to be done. Linux: `dma_iova_sync()`. */
  sync(offset: number, sizeBytes: number): void;
  /**
   * Takes a linked piece back and flushes, under lazy flushing too. Sleeps at the flush's schedule points.
   * @throws DmaBufError `EINVAL` a part of it is not linked, or as {@link link}; nothing changed
   */
  unlink(offset: number, sizeBytes: number): Op<void>;
  /**
   * Unlinks `[0, mappedBytes)` and gives the IOVAs back, when the flush is done. Sleeps as {@link unlink}.
   * @throws DmaBufError `EINVAL` as {@link unlink}, or something beyond is linked; nothing changed
   */
  destroy(mappedBytes: number): Op<void>;
}

/** What the kernel knows of CPU-physical addresses. */
export interface SystemMemory {
  /** Is it RAM, which has a `struct page` and is cached? Else it is device memory. Linux: `pfn_valid()`, `kvm_is_mmio_pfn()`. */
  isRam(physical: PhysAddr): boolean;
}

/**
 * How a device's access ended. Errors of posted writes never reach software: `lost` is an event, not an errno. A read
 * that was answered as unsupported carries the `bytes` that hardware makes of it: all ones.
 */
export type AccessResult =
  | { readonly kind: "done"; readonly bytes: Uint8Array }
  | { readonly kind: "fault"; readonly by: string; readonly reason: string }
  | { readonly kind: "lost"; readonly reason: string; readonly bytes?: Uint8Array };

/** A PCI function that can do DMA. */
export interface Device {
  readonly name: string;
  readonly dma: DmaApi;
  /** The spaces in which this device's addresses may be meant: its bus, its domain. */
  readonly spaces: readonly Space[];
  /** A DMA write. May sleep: the issue, the translation and the arrival are schedule points. */
  write(address: DmaAddr | BusAddr, bytes: Uint8Array): Op<AccessResult>;
  /** A DMA read of `sizeBytes`. */
  read(address: DmaAddr | BusAddr, sizeBytes: number): Op<AccessResult>;
}

/**
 * Memory for page tables: 4 KiB tables in CPU-physical memory that hardware walks. One pool, two views of the same
 * bytes, little-endian: a table at `physical` starts at byte `physical - basePhys`.
 */
export interface TableMemory {
  readonly basePhys: PhysAddr;
  readonly sizeBytes: number;
  /** Word 2i is the low half and word 2i+1 the high half of entry i. */
  readonly words: Int32Array;
  readonly doubles: Float64Array;
  /**
   * A table of 4 KiB, all zero; or several in a row, aligned to their number, a power of two: Arm's concatenated roots.
   * @throws DmaBufError `ENOMEM` when the pool is used up.
   */
  allocTable(tables?: number): PhysAddr;
  /** Gives back what {@link allocTable} gave. Nobody may walk it any more; whatever is left in it is cleared. */
  freeTable(table: PhysAddr, tables?: number): void;
  /** Tables handed out and not given back. */
  readonly liveTables: number;
}
