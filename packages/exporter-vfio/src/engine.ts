/**
 * vfio-pci as an exporter: ranges of one BAR as a buffer, revoked when the BAR goes away. The variants say only what
 * the importer is given; everything about the life of the buffer is here.
 */
import {
  type DmaBuf,
  type DmaBufAttachment,
  DmaBufError,
  type DmaBufOps,
  type ErrnoName,
  type Framework,
  hex,
  type Op,
  type P2pProvider,
  type Stage,
} from "@dma-buf/core";
import type { VfioHost } from "./host.js";
import { type DmaRange, type PhysVec, physVecs } from "./validate.js";

/** A buffer's backing, as a variant needs it. */
export interface Backing {
  readonly host: VfioHost;
  readonly ranges: readonly PhysVec[];
  readonly provider: P2pProvider | null;
  /** @throws DmaBufError `ENODEV` while revoked. */
  checkNotRevoked(stage: Stage): void;
}

/** What a contract makes of a backing: the operations besides `release`. */
export type Variant = (backing: Backing) => Omit<DmaBufOps, "release">;

export interface VfioExport {
  /** 0 to 5. */
  readonly regionIndex: number;
  /** In the buffer they follow one another in this order. */
  readonly ranges: readonly DmaRange[];
}

/** The exporter for one assigned function. */
export interface VfioExporter {
  /**
   * Exports ranges of a BAR; the caller gets the one reference. While memory decode is off the buffer is born revoked.
   * @throws DmaBufError at stage `export`; nothing is left behind.
   */
  export(what: VfioExport): DmaBuf;
  /** COMMAND.MEMORY 1→0 and 0→1, as a guest writes it: revokes before the BAR goes, gives back after it came. */
  setMemoryEnabled(on: boolean): Op<void>;
  /** Takes every buffer away from its importers. Sleeps; takes each reservation. Idempotent. */
  revoke(): Op<void>;
  /** Lets importers ask again. What they had is gone: nothing is mapped again for them. */
  restore(): Op<void>;
}

interface Exported {
  readonly buf: DmaBuf;
  revoked: boolean;
}

export function vfioEngine(fw: Framework, host: VfioHost, variant: Variant): VfioExporter {
  const exported = new Set<Exported>();

  function* move(revoke: boolean): Op<void> {
    fw.trace.emit("event", () => `${host.name}: ${revoke ? "revoke" : "un-revoke"} begins`);
    for (const entry of exported) {
      if (entry.revoked === revoke) continue;
      using held = yield* entry.buf.resv.lock();
      if (revoke) entry.revoked = true;
      yield* fw.invalidate(entry.buf, held);
      // After the callbacks: a map that an importer tries from inside its callback must still find it revoked.
      if (!revoke) entry.revoked = false;
    }
    fw.trace.emit("event", () => `${host.name}: ${revoke ? "revoke" : "un-revoke"} is done`);
  }

  return {
    export({ regionIndex, ranges }) {
      const vecs = physVecs(host, regionIndex, ranges);
      const entry = { revoked: !host.memoryEnabled } as { -readonly [K in keyof Exported]: Exported[K] };
      const backing: Backing = {
        host,
        ranges: vecs,
        provider: host.provider(regionIndex),
        checkNotRevoked: (stage) =>
          entry.revoked && refuse("ENODEV", stage, `${host.name} has revoked the buffer: ask again later`),
      };
      const ops: DmaBufOps = { ...variant(backing), release: () => void exported.delete(entry) };
      const sizeBytes = vecs.reduce((sum, v) => sum + v.sizeBytes, 0);
      entry.buf = fw.export({ exporterName: `vfio-pci ${host.name}`, ops, sizeBytes, priv: entry });
      exported.add(entry);
      return entry.buf;
    },
    *setMemoryEnabled(on) {
      if (!on) yield* move(true);
      host.setMemoryEnabled(on);
      if (on) yield* move(false);
    },
    revoke: () => move(true),
    restore: () => move(false),
  };
}

/**
 * A dynamic exporter that cannot be pinned: a BAR goes when the guest says so. Without `pin`, Linux 6.13 takes the
 * exporter for a static one, maps at attach, and never asks again after a revoke.
 */
export const unpinnable: Pick<DmaBufOps, "pin" | "unpin"> = {
  pin: () => refuse("EINVAL", "pin", "a BAR cannot be pinned: import with the invalidate callback"),
  unpin() {},
};

/** Can the attached device be served at all? Asked at attach, so that the errno comes before anybody maps. */
export function needPeer2peer(at: DmaBufAttachment, backing: Backing): void {
  if (!at.peer2peer)
    refuse("EOPNOTSUPP", "attach", `${at.importerName} does not take peer-to-peer addresses: a BAR has no other`);
  backing.checkNotRevoked("attach");
}

/** Where page `pgoff` of the buffer lies. @throws DmaBufError `EINVAL` beyond the end, stage `query`. */
export function pageAt(backing: Backing, pgoff: number): { readonly range: PhysVec; readonly offset: number } {
  let offset = pgoff * 4096;
  for (const range of backing.ranges) {
    if (offset < range.sizeBytes) return { range, offset };
    offset -= range.sizeBytes;
  }
  return refuse("EINVAL", "query", `page ${hex(pgoff)} is beyond the end of the buffer: ask below its size`);
}

export function refuse(code: ErrnoName, stage: Stage, message: string): never {
  throw new DmaBufError(code, { op: `vfio-pci ${stage}`, stage, message });
}
