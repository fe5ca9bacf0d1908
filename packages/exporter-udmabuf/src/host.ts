/** What this exporter needs of the machine under it: one process's files, memory files among them, and `/dev/udmabuf`. */
import type { Device, DmaAddr, DmaApi, Op, PhysAddr } from "@dma-buf/core";

/** Consecutive bytes of a memory file, by CPU-physical address. */
export interface FolioRange {
  readonly physical: PhysAddr;
  readonly sizeBytes: number;
}

/** Pages that do not move before `unpin`, which is called once. */
export interface PinnedFolios {
  /** In the order of the file; each lies within one page of it, huge or not. */
  readonly ranges: readonly FolioRange[];
  unpin(): void;
}

/** A memory file. Linux: what `memfd_create()` makes. Offsets and sizes are bytes, whole base pages. */
export interface UdmabufMemfd {
  readonly kind: "shmem" | "hugetlb";
  /** The `F_SEAL_*` bits. */
  readonly seals: number;
  /**
   * Pins for the long term. Linux: `memfd_pin_folios()`.
   * @throws DmaBufError `EINVAL` empty, or beyond the end of the file · `ENOMEM`
   */
  pinFolios(offset: number, sizeBytes: number): PinnedFolios;
  /** Where these bytes lie now, without a pin. @throws DmaBufError as {@link pinFolios} */
  ranges(offset: number, sizeBytes: number): readonly FolioRange[];
  /**
   * From now on `follower` is asked before one of these pages moves, once a move even if it follows several ranges of the
   * page. The file lives until this is disposed, once. @throws DmaBufError as {@link pinFolios}
   */
  follow(offset: number, sizeBytes: number, follower: PageFollower): Disposable;
}

/** Who must let go of pages before they move. */
export interface PageFollower {
  /** Gets everybody off the pages, and holds nothing then. Sleeps. What it throws keeps the page where it is. */
  leave(): Op<void>;
  /**
   * Until this is disposed nobody is told where the pages are. `null`: somebody was told again, or is about to be, and must
   * leave once more. Does not sleep: who moves a page holds all who follow it at once, and in no order of theirs.
   */
  hold(): Disposable | null;
}

/** A file that is none: an eventfd, a guest_memfd, a dma-buf. */
export interface UdmabufOtherFile {
  readonly kind: "other";
}

/** The device of `/dev/udmabuf`, for which pages are mapped when the CPU wants to look at them. It does no DMA. */
export interface UdmabufMiscDevice extends Device {
  readonly dma: DmaApi & {
    /** Before the CPU reads. Linux: `dma_sync_sgtable_for_cpu()`. */
    syncForCpu(address: DmaAddr, sizeBytes: number): void;
    /** After the CPU wrote. Linux: `dma_sync_sgtable_for_device()`. */
    syncForDevice(address: DmaAddr, sizeBytes: number): void;
  };
}

/** A kernel with one process. `MachineMemfds` of `@dma-buf/machine` is one. */
export interface UdmabufHost {
  readonly misc: UdmabufMiscDevice;
  /** What is open as `fd`; `null`: nothing is. */
  file(fd: number): UdmabufMemfd | UdmabufOtherFile | null;
  /** Maps ranges one behind the other for the kernel; the first address. Linux: `vm_map_ram()`. @throws DmaBufError `ENOMEM` */
  vmap(ranges: readonly FolioRange[]): number;
  /** Takes a mapping of {@link vmap} back. */
  vunmap(address: number): void;
}
