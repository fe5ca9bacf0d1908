/** What iommufd needs of the machine under it. `@dma-buf/machine` fits it; so may another simulator. */
import type { Device, DmaBuf, Op, PhysAddr, SystemMemory, TableMemory } from "@dma-buf/core";
import type { PageTable } from "@dma-buf/page-table";

/** A hardware domain: a table that iommufd alone writes, and devices walk. Linux: `struct iommu_domain`. */
export interface IommufdDomain {
  /** For findings and the trace. */
  readonly name: string;
  readonly table: Pick<PageTable, "map" | "unmap">;
  /** Where {@link table} has its tables: those that an unmap took out are given back there, when the IOTLB is flushed. */
  readonly memory: Pick<TableMemory, "freeTable">;
  /** The IOVAs that it translates, both included. Linux: `geometry`. */
  readonly apertureFirst: bigint;
  readonly apertureLast: bigint;
  /** The smallest page, bytes. */
  readonly pageBytesMin: number;
  /** Returns when neither the IOTLB nor a device's own TLB holds anything of it that was cached before the call. */
  flush(): Op<void>;
  /** Nobody is attached, and nothing is mapped. */
  destroy(): void;
}

/** IOVAs of a device that no mapping may have, both ends included. Linux: `struct iommu_resv_region`. */
export interface ReservedIovas {
  readonly first: bigint;
  readonly last: bigint;
}

/** Physical memory, bytes. Linux: `struct phys_vec`. */
export interface PhysVec {
  readonly physical: PhysAddr;
  readonly sizeBytes: number;
}

/** Pages that stay where they are until they are unpinned, once. */
export interface Pinned {
  readonly ranges: readonly PhysVec[];
  unpin(): void;
}

/** A memory file. Linux: what `memfd_pin_folios()` takes. */
export interface MemoryFile {
  readonly sizeBytes: number;
  /** @throws DmaBufError `EINVAL` beyond the end · `ENOMEM` */
  pinFolios(offset: number, sizeBytes: number): Pinned;
  /** A reference, as an fd has one. */
  hold(): void;
  release(): void;
}

/** What an fd may lead to. */
export type OpenFile = DmaBuf | MemoryFile | { readonly kind: "other" };

/** The address space of the process that opened iommufd. */
export interface UserMemory {
  /**
   * Pins one page, faulting it in; `address` is page aligned. Linux: `pin_user_pages()`.
   * @throws DmaBufError `EFAULT` nothing is mapped there, it has no page that could be pinned, or `write` is not allowed ·
   * `ENOMEM` `RLIMIT_MEMLOCK`
   */
  pinUserPage(address: bigint, write: boolean): Pinned;
}

/** Physical memory, as the kernel reaches it. */
export interface KernelMemory extends SystemMemory {
  read(address: PhysAddr, sizeBytes: number): Uint8Array;
  write(address: PhysAddr, bytes: Uint8Array): void;
}

/** The machine and the process. */
export interface IommufdHost {
  readonly memory: KernelMemory;
  /** Who opened it. */
  readonly user: UserMemory;
  /** What is open as `fd` in that process; `null`: nothing is. */
  file(fd: number): OpenFile | null;
  /** Does the IOMMU keep this device from sending other devices' interrupts? Linux: `group_has_isolated_msi()`. */
  hasIsolatedMsi(device: Device): boolean;
  /** A domain that `device` can be attached to, empty. @throws DmaBufError `ENOMEM` · `ENODEV` it has no IOMMU */
  createDomain(device: Device): IommufdDomain;
  /** In one step, whatever it is attached to. @throws DmaBufError `EINVAL` the domain is not one for this device · `EBUSY` */
  attach(device: Device, domain: IommufdDomain): void;
  /** Its DMA is what it was before iommufd. */
  detach(device: Device): void;
  /** They may overlap. */
  reservedIovas(device: Device): readonly ReservedIovas[];
}
