/** An exporter that keeps every rule of any contract. */
import {
  addr,
  type BusAddr,
  type DmaBuf,
  type DmaBufAttachment,
  DmaBufError,
  type DmaBufOps,
  type Framework,
  type Op,
  PAGE_SIZE,
  type Pfn,
  type PhysAddr,
  physOf,
  type ResvGuard,
  type Run,
  type SgTable,
  Usage,
} from "@dma-buf/core";

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
  /** Puts the memory four pages further. @throws DmaBufError `EBUSY` while it is pinned */
  move(): Op<void>;
}

/**
 * `change` replaces callbacks: how a broken one is made.
 * @example
 * const exporter = referenceExporter(framework);
 * exporter.buf.sizeBytes; // 16384
 */
export function referenceExporter(fw: Framework, change: Partial<DmaBufOps> = {}): ReferenceExporter {
  let revoked = false;
  let first = FIRST_PFN;
  const no = (stage: "attach" | "map"): never => {
    const code = stage === "attach" ? "EOPNOTSUPP" : "ENODEV";
    throw new DmaBufError(code, { op: "reference exporter", stage, message: "told to refuse: restore first" });
  };
  const frame = (pgoff: number): { pfn: Pfn; maxOrder: number } => {
    if (revoked) no("map");
    if (pgoff >= PAGES)
      throw new DmaBufError("EINVAL", {
        op: "get_pfn",
        stage: "query",
        message: `page ${pgoff} of ${PAGES}: ask below`,
      });
    return { pfn: addr<Pfn>(first + pgoff), maxOrder: 0 };
  };
  const all: DmaBufOps = {
    attach: (at) => void ((self.refuseAttach || isDeaf(at)) && no("attach")),
    pin() {},
    unpin() {},
    mapDmaBuf: (at) => (revoked ? no("map") : table(fw, at, addr<Pfn>(first))),
    unmapDmaBuf: unmap,
    getPfn: (_at, pgoff) => frame(pgoff),
    mmap: (_buf, vma) => void (vma.fault = frame),
    release() {},
    ...change,
  };
  const self: ReferenceExporter = {
    buf: fw.export({ exporterName: "reference", ops: known(fw, all), sizeBytes, priv: all }),
    refuseAttach: false,
    get physical() {
      return physOf(addr<Pfn>(first));
    },
    get revoked() {
      return revoked;
    },
    revoke: ({ wait } = { wait: true }) =>
      withReservation(fw, self.buf, function* (held) {
        checkUnpinned(self.buf, (at) => !at.importer?.invalidateMappings);
        revoked = true;
        yield* fw.invalidate(self.buf, held);
        if (wait) yield* fw.drain(self.buf, held);
      }),
    move: () =>
      withReservation(fw, self.buf, function* (held) {
        checkUnpinned(self.buf, () => true);
        first += PAGES;
        yield* fw.invalidate(self.buf, held);
        yield* self.buf.resv.waitTimeout(Usage.BOOKKEEP);
      }),
    restore: () => void (revoked = false),
  };
  return self;
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

/** In the words of the contract: addresses that say their space where nobody may be without a device, else plain ones. */
function table(fw: Framework, at: DmaBufAttachment, first: Pfn): SgTable {
  const physical = physOf(first);
  const extent = { offset: 0, sizeBytes };
  const attributes = { cache: "uc", snoop: false } as const;
  const annotated = fw.contract.policy.device === "optional";
  if (annotated && !at.device) return one({ ...extent, kind: "cpu-physical", address: physical, attributes });
  const bus = at.device?.spaces.find((s) => s.kind === "pci-bus");
  if (annotated && bus)
    return one({ ...extent, kind: "pci-bus", address: addr<BusAddr>(physical), bridge: bus.bridge, attributes });
  const address = at.device?.dma.mapPhys(physical, sizeBytes, "bidirectional", { mmio: true }) as never;
  const domain = at.device?.spaces.find((s) => s.kind === "iova")?.domain;
  if (annotated && domain) return one({ ...extent, kind: "iova", address, domain, attributes });
  return one({ ...extent, kind: "dma", address });
}

function unmap(at: DmaBufAttachment, { runs }: SgTable): void {
  for (const { kind, address, sizeBytes: mappedBytes } of runs)
    if (kind === "dma" || kind === "iova") at.device?.dma.unmapPhys(address as never, mappedBytes);
}

function one(run: Run): SgTable {
  return { runs: [run] };
}

/**
 * The physical address of the reference exporter's page `pgoff`: where a run of it leads before it moves.
 * @example
 * referencePage(1) - referencePage(0); // 4096
 */
export function referencePage(pgoff: number): PhysAddr {
  return physOf(addr<Pfn>(FIRST_PFN + pgoff));
}
