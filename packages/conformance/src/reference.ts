/** The other side of the table: an exporter and an importer that keep every rule of any contract. */
import {
  addr,
  type BusAddr,
  type DmaBuf,
  type DmaBufAttachment,
  DmaBufError,
  type DmaBufOps,
  type Framework,
  type Held,
  mappedWindow,
  type Op,
  PAGE_SIZE,
  type Pfn,
  type PhysAddr,
  physOf,
  point,
  type Run,
  type SgTable,
  type Window,
  withRuns,
} from "@dma-buf/core";

const PAGES = 4;
const FIRST_PFN = 0x100;
const sizeBytes = PAGES * PAGE_SIZE;

/** A dynamic exporter of four pages, which refuses what it is told to. */
export interface ReferenceExporter {
  readonly buf: DmaBuf;
  readonly revoked: boolean;
  /** Callbacks that refuse now, with `ENODEV` or, in attach, `EOPNOTSUPP`. */
  refuseAttach: boolean;
  revoke(): Op<void>;
  restore(): void;
}

/**
 * `change` replaces callbacks: how a broken one is made.
 * @example
 * const exporter = referenceExporter(framework);
 * exporter.buf.sizeBytes; // 16384
 */
export function referenceExporter(fw: Framework, change: Partial<DmaBufOps> = {}): ReferenceExporter {
  let revoked = false;
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
    return { pfn: addr<Pfn>(FIRST_PFN + pgoff), maxOrder: 0 };
  };
  const all: DmaBufOps = {
    attach: () => void (self.refuseAttach && no("attach")),
    pin() {},
    unpin() {},
    mapDmaBuf: (at) => (revoked ? no("map") : table(fw, at)),
    unmapDmaBuf: unmap,
    getPfn: (_at, pgoff) => frame(pgoff),
    mmap: (_buf, vma) => void (vma.fault = frame),
    release() {},
    ...change,
  };
  const self = {
    buf: fw.export({ exporterName: "reference", ops: known(fw, all), sizeBytes, priv: all }),
    refuseAttach: false,
    get revoked() {
      return revoked;
    },
    *revoke(): Op<void> {
      using held = yield* self.buf.resv.lock();
      revoked = true;
      yield* fw.invalidate(self.buf, held);
    },
    restore: () => void (revoked = false),
  };
  return self;
}

/** Only the callbacks that the contract has rows for. */
function known(fw: Framework, ops: DmaBufOps): DmaBufOps {
  return Object.fromEntries(Object.entries(ops).filter(([call]) => call in fw.contract.rows));
}

/** In the words of the contract: addresses that say their space where nobody may be without a device, else plain ones. */
function table(fw: Framework, at: DmaBufAttachment): SgTable {
  const physical = physOf(addr<Pfn>(FIRST_PFN));
  const extent = { offset: 0, sizeBytes };
  const attributes = { cache: "uc", snoop: false } as const;
  const annotated = fw.contract.policy.device === "optional";
  if (annotated && !at.device) return one({ ...extent, kind: "cpu-physical", address: physical, attributes });
  const bus = at.device?.spaces.find((s) => s.kind === "pci-bus");
  if (annotated && bus)
    return one({ ...extent, kind: "pci-bus", address: addr<BusAddr>(physical), bridge: bus.bridge, attributes });
  const address = at.device?.dma.mapPhys(physical, sizeBytes, "bidirectional", { mmio: true });
  return one({ ...extent, kind: "dma", address: address as never });
}

function unmap(at: DmaBufAttachment, { runs }: SgTable): void {
  for (const run of runs) if (run.kind === "dma") at.device?.dma.unmapPhys(run.address, run.sizeBytes);
}

function one(run: Run): SgTable {
  return { runs: [run] };
}

/**
 * A dynamic importer that looks through the contract's window, drops at invalidate and looks again at the next use.
 * @example
 * const importer = new ReferenceImporter(framework);
 * yield* importer.attach(buf, host.device);
 * yield* importer.use();
 * importer.runs.length > 0; // true
 * yield* importer.detach();
 */
export class ReferenceImporter {
  readonly #fw: Framework;
  #at: DmaBufAttachment | null = null;
  #window: Window | null = null;
  #runs: readonly Run[] = [];
  #sequence = 0;

  constructor(fw: Framework) {
    this.#fw = fw;
  }

  /** Does it look at the sequence before it installs? */
  protected readonly retries: boolean = true;

  get attachment(): DmaBufAttachment {
    return this.#at as DmaBufAttachment;
  }

  get runs(): readonly Run[] {
    return this.#runs;
  }

  *attach(buf: DmaBuf, device: DmaBufAttachment["device"]): Op<void> {
    const ops = {
      allowPeer2peer: true,
      invalidateMappings: (_at: DmaBufAttachment, held: Held) => this.#invalidate(held),
    };
    this.#at = yield* this.#fw.dynamicAttach(buf, device, { name: "reference importer", ops });
    this.#window = yield* this.look(this.#fw, this.#at);
  }

  /** How it comes to see the buffer: as its contract has it. */
  protected look(fw: Framework, at: DmaBufAttachment): Op<Window> {
    return fw.open(at, "bidirectional");
  }

  *use(): Op<void> {
    while (this.#runs.length === 0) {
      const sequence = this.#sequence;
      yield* withRuns(this.attachment, this.#window as Window, 0, this.attachment.buf.sizeBytes, (runs) =>
        this.#install(runs, sequence),
      );
    }
  }

  *detach(): Op<void> {
    this.#runs = [];
    yield* this.closed(this.#window as Window);
    yield* this.#fw.detachAttachment(this.attachment.buf, this.attachment);
  }

  *#install(runs: readonly Run[], sequence: number): Op<void> {
    yield* point("reference.install");
    if (!this.retries || sequence === this.#sequence) this.#runs = runs;
  }

  *#invalidate(held: Held): Op<void> {
    this.#sequence++;
    if (this.#window) yield* this.dropped(this.#window, held);
  }

  /** The exporter invalidated: nothing that was seen is used again. */
  protected *dropped(window: Window, held: Held): Op<void> {
    this.#runs = [];
    yield* window.drop(held);
  }

  /** It detaches: what was mapped is given back first. */
  protected *closed(window: Window): Op<void> {
    yield* window.close();
  }
}

/**
 * The physical address of the reference exporter's page `pgoff`: where a run of it must lead.
 * @example
 * referencePage(1) - referencePage(0); // 4096
 */
export function referencePage(pgoff: number): PhysAddr {
  return physOf(addr<Pfn>(FIRST_PFN + pgoff));
}

/** One that maps, whatever its contract offers besides: for an exporter that has no page frames to tell. */
export class MappingImporter extends ReferenceImporter {
  protected override *look(fw: Framework, at: DmaBufAttachment): Op<Window> {
    return mappedWindow(fw, at, "bidirectional", (run) => run);
  }
}
