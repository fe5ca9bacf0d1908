/** The framework's own view of the objects, with what only it may change. */
import type { DmaBuf, DmaBufAttachment, SgTable } from "./dma-buf.js";
import type { Direction } from "./run.js";

export type OwnedBuf = { -readonly [K in keyof DmaBuf]: DmaBuf[K] } & {
  attachments: OwnedAttachment[];
  released: boolean;
};

export type OwnedAttachment = { -readonly [K in keyof DmaBufAttachment]: DmaBufAttachment[K] } & {
  readonly buf: OwnedBuf;
  /** The table a 6.13 core cached at attach, for a static importer of an exporter that pins. */
  bridged: { readonly table: SgTable | null; readonly direction: Direction } | null;
};

/** What is still out: all zero when everybody gave back what they took. */
export interface Ledger {
  readonly buffers: number;
  readonly references: number;
  readonly attachments: number;
  readonly mappings: number;
}

export function count(bufs: ReadonlySet<OwnedBuf>): Ledger {
  const all = [...bufs];
  const attachments = all.flatMap((b) => b.attachments);
  return {
    buffers: all.length,
    references: all.reduce((n, b) => n + b.refs, 0),
    attachments: attachments.length,
    mappings: attachments.reduce((n, a) => n + a.liveMaps, 0),
  };
}
