/** The framework's own view of the objects, with what only it may change. */
import type { DmaBuf, DmaBufAttachment, IosysMap, Owner, SgTable } from "./dma-buf.js";
import type { Direction } from "./run.js";

export type OwnedBuf = { -readonly [K in keyof DmaBuf]: DmaBuf[K] } & {
  attachments: OwnedAttachment[];
  readonly owner: Owner | null;
  /** Is the reservation this buffer's own? */
  readonly ownsResv: boolean;
  map: IosysMap | null;
  /** Detached with mappings or pins left. */
  readonly leaked: OwnedAttachment[];
  released: boolean;
};

/** A mapping that an importer holds. */
export interface LiveMap {
  /** What the importer was shown. */
  readonly shown: SgTable;
  /** What the exporter made. */
  readonly table: SgTable;
  readonly direction: Direction;
}

export type OwnedAttachment = { -readonly [K in keyof DmaBufAttachment]: DmaBufAttachment[K] } & {
  readonly buf: OwnedBuf;
  readonly maps: LiveMap[];
  /** What a 6.13 core keeps until detach: for a side that is static, or an exporter that asked for it. */
  cached: { readonly table: SgTable | null; readonly direction: Direction; readonly pinned: boolean } | null;
};

/** What is still out: all zero when everybody gave back what they took. */
export interface Ledger {
  readonly buffers: number;
  readonly references: number;
  readonly attachments: number;
  readonly mappings: number;
  readonly pins: number;
  readonly vmaps: number;
}

/** `lost`: released buffers whose leaks cannot be given back any more; they hold no reference. */
export function count(live: ReadonlySet<OwnedBuf>, lost: readonly OwnedBuf[]): Ledger {
  const all = [...live, ...lost];
  const attachments = all.flatMap((b) => b.attachments);
  const holding = [...attachments, ...all.flatMap((b) => b.leaked)];
  const sum = <T>(list: readonly T[], of: (item: T) => number): number => list.reduce((n, item) => n + of(item), 0);
  return {
    buffers: live.size,
    references: sum([...live], (b) => b.refs),
    attachments: attachments.length,
    mappings: sum(holding, (a) => a.liveMaps),
    pins: sum(holding, (a) => a.pins),
    vmaps: sum(all, (b) => b.vmaps),
  };
}
