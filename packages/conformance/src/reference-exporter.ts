/** An exporter that keeps every rule of any contract. */
import {
  addr,
  type DmaBuf,
  type DmaBufAttachment,
  DmaBufError,
  type DmaBufOps,
  DmaFence,
  type Framework,
  type Op,
  PAGE_SIZE,
  type Pfn,
  type PhysAddr,
  physOf,
  point,
  type ResvGuard,
  Usage,
} from "@dma-buf/core";
import { referenceTable, unmapReferenceTable } from "./reference-table.js";

const PAGES = 4;
const FIRST_PFN = 0x100;
const sizeBytes = PAGES * PAGE_SIZE;

/** A dynamic exporter of four pages, which refuses what it is told to. */
export interface ReferenceExporter {
  readonly buf: DmaBuf;
  readonly revoked: boolean;
  /** Where its first byte lies now. */
  readonly physical: PhysAddr;
  /** Callbacks that refuse now, with `ENODEV` or, in attach, `EOPNOTSUPP`. */
  refuseAttach: boolean;
  /**
   * Takes the memory away and waits for what the contract says. `wait: false` stops behind the callbacks: what an
   * importer left undone there shows at once.
   * @throws DmaBufError `EBUSY` while it is pinned for who cannot be told
   */
  revoke(options?: { readonly wait: boolean }): Op<void>;
  restore(): void;
  /** It has moved, and the bytes are not at the new place yet. */
  readonly copying: boolean;
  /**
   * Puts the memory four pages further. `copied: "later"` gives the reservation back before the bytes are there, and a
   * KERNEL fence says until when. @throws DmaBufError `EBUSY` while it is pinned
   */
  move(options?: { readonly copied: "at once" | "later" }): Op<void>;
}

/**
 * `change` replaces callbacks: how a broken one is made. As a function it is given those that keep the rules.
 * @example
 * const exporter = referenceExporter(framework);
 * exporter.buf.sizeBytes; // 16384
 */
export function referenceExporter(
  fw: Framework,
  change: Partial<DmaBufOps> | ((honest: DmaBufOps) => Partial<DmaBufOps>) = {},
): ReferenceExporter {
  let revoked = false;
  let first = FIRST_PFN;
  let copying: DmaFence | null = null;
  const no = (stage: "attach" | "map"): never => {
    const code = stage === "attach" ? "EOPNOTSUPP" : "ENODEV";
    throw new DmaBufError(code, { op: "reference exporter", stage, message: "told to refuse: restore first" });
  };
  const frame = (pgoff: number): { pfn: Pfn; maxOrder: number } => {
    if (revoked) no("map");
    if (!Number.isInteger(pgoff) || pgoff < 0 || pgoff >= PAGES)
      throw new DmaBufError("EINVAL", {
        op: "get_pfn",
        stage: "query",
        message: `page ${pgoff} of ${PAGES}: ask from 0 and below`,
      });
    return { pfn: addr<Pfn>(first + pgoff), maxOrder: 0 };
  };
  const honest: DmaBufOps = {
    attach: (at) => void ((self.refuseAttach || isDeaf(at)) && no("attach")),
    pin() {},
    unpin() {},
    mapDmaBuf: (at) => (revoked ? no("map") : referenceTable(fw, at, physOf(addr<Pfn>(first)), sizeBytes)),
    unmapDmaBuf: unmapReferenceTable,
    getPfn: (_at, pgoff) => frame(pgoff),
    mmap: (_buf, vma) => void (vma.fault = (page) => frame(vma.pgoff + page)),
    release() {},
  };
  const all: DmaBufOps = { ...honest, ...(typeof change === "function" ? change(honest) : change) };
  const self: ReferenceExporter = {
    buf: fw.export({ exporterName: "reference", ops: known(fw, all), sizeBytes, priv: all }),
    refuseAttach: false,
    get physical() {
      return physOf(addr<Pfn>(first));
    },
    get revoked() {
      return revoked;
    },
    get copying() {
      return copying !== null;
    },
    revoke: ({ wait } = { wait: true }) =>
      withReservation(fw, self.buf, function* (held) {
        checkUnpinned(self.buf, (at) => !at.importer?.invalidateMappings);
        revoked = true;
        yield* fw.invalidate(self.buf, held);
        if (wait) yield* fw.drain(self.buf, held);
      }),
    move: ({ copied } = { copied: "at once" }) =>
      withReservation(fw, self.buf, function* (held) {
        checkUnpinned(self.buf, () => true);
        // First: a CPU that faults takes no reservation, and must not be shown the old place behind the callbacks.
        first += PAGES;
        yield* fw.invalidate(self.buf, held);
        yield* self.buf.resv.waitTimeout(Usage.BOOKKEEP);
        if (copied === "at once") return;
        const copy = (copying = announced(fw, self.buf, held));
        held[Symbol.dispose]();
        yield* point("reference.copy");
        copying = null;
        copy.signal();
      }),
    restore: () => void (revoked = false),
  };
  return self;
}

/** The fence of a copy that goes on when the reservation is given back. */
function announced({ env }: Framework, { resv }: DmaBuf, held: ResvGuard): DmaFence {
  const names = { driverName: () => "reference", timelineName: () => "copies" };
  const copy = new DmaFence(env, names, env.allocContexts(1), 1);
  resv.reserveFences(held, 1);
  resv.addFence(held, copy, Usage.KERNEL);
  return copy;
}

/** It cannot be told, and nobody pins for it: what it was shown, it would use for ever. */
function isDeaf({ buf, importer }: DmaBufAttachment): boolean {
  return !buf.ops.pin && !importer?.invalidateMappings;
}

/** A pin is a promise to stay. */
function checkUnpinned({ attachments }: DmaBuf, counts: (at: DmaBufAttachment) => boolean): void {
  const pinned = attachments.find((at) => at.pins > 0 && counts(at));
  if (!pinned) return;
  const message = `pinned for ${pinned.importerName}: wait until it unpins`;
  throw new DmaBufError("EBUSY", { op: "reference exporter", stage: "pin", message });
}

/** With a reference of its own, since whoever uses the buffer may put it meanwhile; nothing, if it is gone already. */
function* withReservation(fw: Framework, buf: DmaBuf, act: (held: ResvGuard) => Op<void>): Op<void> {
  if (buf.refs === 0) return;
  fw.get(buf);
  try {
    using held = yield* buf.resv.lock();
    yield* act(held);
  } finally {
    yield* fw.put(buf);
  }
}

/** Only the callbacks that the contract has rows for. */
function known(fw: Framework, ops: DmaBufOps): DmaBufOps {
  return Object.fromEntries(Object.entries(ops).filter(([call]) => call in fw.contract.rows));
}

/**
 * The physical address of the reference exporter's page `pgoff`: where a run of it leads before it moves.
 * @example
 * referencePage(1) - referencePage(0); // 4096
 */
export function referencePage(pgoff: number): PhysAddr {
  return physOf(addr<Pfn>(FIRST_PFN + pgoff));
}
