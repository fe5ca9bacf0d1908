/** The objects of the contract: a buffer, its exporter's operations, an attachment, an importer's operations. */
import type { Pfn } from "./address.js";
import type { Device } from "./host.js";
import type { MaySleep } from "./op.js";
import type { DmaResv, Held } from "./resv.js";
import type { Direction, Run } from "./run.js";

/** What a map callback returns. Linux: `struct sg_table`. Owned by the exporter; given back to unmap. */
export interface SgTable {
  /** The DMA half: what an importer may look at. */
  readonly runs: Iterable<Run>;
  /** The CPU half. No importer may look at it; with `CONFIG_DMABUF_DEBUG` none can. */
  readonly pages?: readonly Pfn[];
}

/** One answer of `get_pfn`: true at the instant it is given, as long as the reservation is held. */
export interface PfnAnswer {
  readonly pfn: Pfn;
  /** log2 of the naturally aligned run of pages around `pfn` that one leaf may map. */
  readonly maxOrder: number;
}

/** Where the kernel finds the whole buffer. Linux: `struct iosys_map`. */
export interface IosysMap {
  readonly address: number;
  /** Device memory: not to be touched with plain loads and stores. */
  readonly isIomem: boolean;
}

/** A CPU mapping that an exporter fills. Linux: `struct vm_area_struct`. Whoever makes it closes it: `munmap`. */
export interface Vma {
  /** Where it begins in the buffer, pages. */
  pgoff: number;
  readonly pages: number;
  /** Does a write go to a copy of its own? Linux: without `VM_SHARED`. @defaultValue false */
  readonly isPrivate?: boolean;
  /** How its pages are cached, by who fills it. Linux: `vm_page_prot`. @defaultValue nobody says */
  cache?: "uc" | "wc" | "wb";
  /** What it maps, with a reference; set by the framework. */
  buf: DmaBuf | null;
  /** The exporter's handler: `page` counts from the beginning of the VMA. */
  fault: ((page: number) => MaySleep<PfnAnswer>) | null;
}

/**
 * What an exporter does. Linux: `struct dma_buf_ops`, with the RFC's `get_pfn`. Which are mandatory, and which lock
 * is held in each, is in the contract's rows; a callback may return a value or an `Op` that sleeps.
 * @example
 * const ops: DmaBufOps = {
 *   mapDmaBuf: (at, direction) => mapForDevice(at.device, direction),
 *   unmapDmaBuf: (at, table) => unmapForDevice(at.device, table),
 *   release() {},
 * };
 */
export interface DmaBufOps {
  attach?(attachment: DmaBufAttachment): MaySleep<void>;
  detach?(attachment: DmaBufAttachment): MaySleep<void>;
  /** Its presence makes the exporter a dynamic one. */
  pin?(attachment: DmaBufAttachment, held: Held): MaySleep<void>;
  unpin?(attachment: DmaBufAttachment, held: Held): MaySleep<void>;
  mapDmaBuf?(attachment: DmaBufAttachment, direction: Direction, held: Held): MaySleep<SgTable>;
  unmapDmaBuf?(attachment: DmaBufAttachment, table: SgTable, direction: Direction, held: Held): MaySleep<void>;
  /** `pgoff`: page offset in the buffer. Out: PFN and max order. The range check is the exporter's. */
  getPfn?(attachment: DmaBufAttachment, pgoff: number, held: Held): MaySleep<PfnAnswer>;
  release?(buf: DmaBuf): MaySleep<void>;
  beginCpuAccess?(buf: DmaBuf, direction: Direction): MaySleep<void>;
  endCpuAccess?(buf: DmaBuf, direction: Direction): MaySleep<void>;
  mmap?(buf: DmaBuf, vma: Vma): MaySleep<void>;
  vmap?(buf: DmaBuf, held: Held): MaySleep<IosysMap>;
  vunmap?(buf: DmaBuf, map: IosysMap, held: Held): MaySleep<void>;
  /** Linux 6.13: the core keeps the first mapping of an attachment until detach. Not together with `pin`. */
  readonly cacheSgtMapping?: boolean;
  /** Private agreements of one exporter and one importer, found by symbol, never by a plugin's name. */
  readonly interfaces?: ReadonlyMap<symbol, unknown>;
}

/** What an importer brings. Linux: `struct dma_buf_attach_ops`. Without it the importer is static. */
export interface DmaBufAttachOps {
  /** May the exporter answer with a peer's address? */
  readonly allowPeer2peer: boolean;
  /** The memory moves or is revoked. Reservation held. Linux: `move_notify` (6.13), `invalidate_mappings` (7.0). */
  invalidateMappings?(attachment: DmaBufAttachment, held: Held): MaySleep<void>;
}

/** The module whose code the operations are: it must not go while a buffer lives. Linux: `struct module`. */
export interface Owner {
  /** `false`: it is unloading. */
  tryGet(): boolean;
  put(): void;
}

/** Linux: `struct dma_buf_export_info`. */
export interface DmaBufExportInfo {
  readonly exporterName: string;
  readonly ops: DmaBufOps;
  /** Not checked: 0 is accepted, and so is what is no multiple of a page. */
  readonly sizeBytes: number;
  /** The exporter's own; must be there. */
  readonly priv: object;
  readonly owner?: Owner;
  /** Of these, `O_ACCMODE` (3) and `O_NONBLOCK` (0o4000) are kept. @defaultValue 0 */
  readonly flags?: number;
  /** Shared with other buffers, and then never ended by this one. @defaultValue one of its own */
  readonly resv?: DmaResv;
}

/** Linux: `struct dma_buf`. */
export interface DmaBuf {
  readonly exporterName: string;
  readonly ops: DmaBufOps;
  readonly sizeBytes: number;
  readonly priv: object;
  readonly flags: number;
  /** Unique in a framework, from 1. */
  readonly ino: number;
  /** Set by userspace, through the file's ioctl; `null` until then. */
  name: string | null;
  readonly resv: DmaResv;
  /** Newest first. Changes only under the reservation. */
  readonly attachments: readonly DmaBufAttachment[];
  /** References held; at zero `release` runs, once. Attaching takes none: an importer holds its own. */
  readonly refs: number;
  /** Users of the kernel's mapping. */
  readonly vmaps: number;
}

/** Linux: `struct dma_buf_attachment`. */
export interface DmaBufAttachment {
  readonly buf: DmaBuf;
  /** `null` only where the contract's policy allows it. */
  readonly device: Device | null;
  /** `null`: a static importer. */
  readonly importer: DmaBufAttachOps | null;
  readonly importerName: string;
  /** Set from the importer's wish; only the exporter's attach callback may lower it. */
  peer2peer: boolean;
  /** Mappings made by the exporter and not given back. */
  readonly liveMaps: number;
  /** Pins made and not given back. */
  readonly pins: number;
  readonly detached: boolean;
}
