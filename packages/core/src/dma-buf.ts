/** The objects of the contract: a buffer, its exporter's operations, an attachment, an importer's operations. */
import type { Pfn } from "./address.js";
import type { Device } from "./host.js";
import type { MaySleep } from "./op.js";
import type { DmaResv, Held } from "./resv.js";
import type { Direction, Run } from "./run.js";

/** What a map callback returns. Linux: `struct sg_table`, its DMA half. Owned by the exporter; given back to unmap. */
export interface SgTable {
  readonly runs: readonly Run[];
}

/** One answer of `get_pfn`: true at the instant it is given, as long as the reservation is held. */
export interface PfnAnswer {
  readonly pfn: Pfn;
  /** log2 of the naturally aligned run of pages around `pfn` that one leaf may map. */
  readonly maxOrder: number;
}

/**
 * What an exporter does. Linux: `struct dma_buf_ops`, with the RFC's `get_pfn`. Which are mandatory, and which lock
 * is held in each, is in the contract's rows; a callback may return a value or an `Op` that sleeps.
 */
export interface DmaBufOps {
  attach?(attachment: DmaBufAttachment): MaySleep<void>;
  detach?(attachment: DmaBufAttachment): MaySleep<void>;
  pin?(attachment: DmaBufAttachment, held: Held): MaySleep<void>;
  unpin?(attachment: DmaBufAttachment, held: Held): MaySleep<void>;
  mapDmaBuf?(attachment: DmaBufAttachment, direction: Direction, held: Held): MaySleep<SgTable>;
  unmapDmaBuf?(attachment: DmaBufAttachment, table: SgTable, direction: Direction, held: Held): MaySleep<void>;
  /** `pgoff`: page offset in the buffer. Out: PFN and max order. The range check is the exporter's. */
  getPfn?(attachment: DmaBufAttachment, pgoff: number, held: Held): MaySleep<PfnAnswer>;
  release?(buf: DmaBuf): MaySleep<void>;
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

/** Linux: `struct dma_buf_export_info`. `priv` is the exporter's and must be there. */
export interface DmaBufExportInfo {
  readonly exporterName: string;
  readonly ops: DmaBufOps;
  readonly sizeBytes: number;
  readonly priv: object;
}

/** Linux: `struct dma_buf`. */
export interface DmaBuf {
  readonly exporterName: string;
  readonly ops: DmaBufOps;
  readonly sizeBytes: number;
  readonly priv: object;
  readonly resv: DmaResv;
  /** Newest first. Changes only under the reservation. */
  readonly attachments: readonly DmaBufAttachment[];
  /** References held; at zero `release` runs, once. Attaching takes none: an importer holds its own. */
  readonly refs: number;
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
  /** Mappings made and not given back. */
  readonly liveMaps: number;
  readonly detached: boolean;
}
