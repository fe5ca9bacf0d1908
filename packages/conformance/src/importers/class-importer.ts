/** What importers of all classes have in common: attach, look, access, be told, close. */
import {
  type Device,
  type DmaBuf,
  type DmaBufAttachment,
  type DmaBufAttachOps,
  type Framework,
  type Held,
  type Op,
  point,
  type Run,
  until,
  Usage,
  type Window,
} from "@dma-buf/core";

/**
 * What an importer does when it is told that the memory goes.
 * - `zap`: drops its translation in the callback and waits there for what is in flight (KVM, iommufd).
 * - `fenced`: a fence in the reservation covers its accesses; the translation goes after the fence (GPU).
 * - `faulting`: drops its translation in the callback; what is in flight faults and looks again (on-demand paging).
 * - `pinned`: pins, and brings no callback (plain RDMA).
 * - `pinned-revocable`: pins, and its callback stops it for ever.
 * - `static`: attaches without operations.
 */
export type ImporterClass = "zap" | "fenced" | "faulting" | "pinned" | "pinned-revocable" | "static";

/** A device's access, at the instant at which it arrives. */
export interface Access {
  readonly importer: string;
  /** What the importer was told. */
  readonly run: Run;
  /** When it was told, in steps of the scheduler. */
  readonly lookedUpStep: number;
}

/** What an importer of a class is made of. */
export interface ClassImporterOptions {
  readonly framework: Framework;
  /** Called for each run, in the step in which an access to it arrives. */
  readonly arrived: (access: Access) => void;
  /** How much of the buffer it looks at, from its beginning. @defaultValue all of it */
  readonly sizeBytes?: number;
  /** Called last in its callback, for one that throws. */
  readonly told?: () => void;
  /** How it comes to see the buffer. @defaultValue as its contract has it */
  readonly look?: (attachment: DmaBufAttachment) => Op<Window>;
}

/** What an importer knows: where the buffer lies, and when it was told, in steps. */
export interface Translation {
  readonly runs: readonly Run[];
  readonly step: number;
}

/**
 * An importer that keeps the rules of its class, under any contract. Made by {@link classImporter}. One at a time may
 * `use()` it, and `close()` it when nobody does; none of the calls may be made with the reservation held.
 * @example
 * classImporter("fenced", { framework, arrived() {} }) instanceof ClassImporter; // true
 */
export abstract class ClassImporter {
  abstract readonly name: ImporterClass;
  protected readonly fw: Framework;
  protected translation: Translation | null = null;
  protected inFlight = 0;
  readonly #options: ClassImporterOptions;
  #at: DmaBufAttachment | null = null;
  #window: Window | null = null;
  /** Counts what it was told, as KVM's `mmu_invalidate_seq`: a look that this overtakes is not used. */
  #sequence = 0;

  constructor(options: ClassImporterOptions) {
    this.fw = options.framework;
    this.#options = options;
  }

  protected get at(): DmaBufAttachment {
    return this.#at as DmaBufAttachment;
  }

  protected get window(): Window {
    return this.#window as Window;
  }

  /** Attaches and opens the contract's window. What is refused leaves nothing behind. */
  *attach(buf: DmaBuf, device: Device | null): Op<void> {
    const { look = (at) => this.fw.open(at, "bidirectional") } = this.#options;
    this.#at = yield* this.fw.dynamicAttach(buf, device, { name: this.name, ops: this.ops() });
    try {
      this.#window = yield* look(this.#at);
    } catch (error) {
      yield* this.fw.detachAttachment(buf, this.#at);
      throw error;
    }
  }

  /** Looks, unless it knows, and accesses every run once. @throws DmaBufError what the exporter refuses with */
  *use(): Op<void> {
    do {
      yield* this.look();
      yield* this.awaitKernel();
    } while (!(yield* this.access()));
  }

  /** Gives back all it has, and detaches. */
  *close(): Op<void> {
    this.translation = null;
    yield* this.window.close();
    yield* this.fw.detachAttachment(this.at.buf, this.at);
  }

  protected ops(): DmaBufAttachOps | null {
    return { allowPeer2peer: true, invalidateMappings: (_at, held) => this.#callback(held) };
  }

  *#callback(held: Held): Op<void> {
    yield* this.told(held);
    this.#options.told?.();
  }

  /** Its callback. The default: the translation goes, and so does the mapping. */
  protected *told(held: Held): Op<void> {
    this.overtake();
    this.translation = null;
    yield* this.flush();
    // It may be told while it attaches, before it looks.
    yield* this.drop(held);
  }

  /** Whoever is looking must look again. */
  protected overtake(): void {
    this.#sequence++;
  }

  protected *drop(held: Held): Op<void> {
    if (this.#window) yield* this.#window.drop(held);
  }

  /** What must be over before the callback returns. The default: nothing. */
  protected *flush(): Op<void> {}

  protected *look(): Op<void> {
    if (this.translation) return;
    if (this.window.resv === "free") return yield* this.translate(null);
    using held = yield* this.at.buf.resv.lock();
    yield* this.translate(held);
  }

  protected *translate(held: Held | null): Op<void> {
    while (!this.translation) {
      const sequence = this.#sequence;
      const runs = yield* this.window.runs(0, this.#options.sizeBytes ?? this.at.buf.sizeBytes, held);
      const { steps: step } = this.fw.scheduler;
      // Only without the reservation can somebody come between the answer and its use.
      if (!held) yield* point("importer.install");
      if (sequence === this.#sequence) this.translation = { runs, step };
    }
  }

  /** The kernel's own work on the memory comes first: the core waits for it on behalf of static importers only. */
  protected *awaitKernel(): Op<void> {
    yield* this.at.buf.resv.waitTimeout(Usage.KERNEL);
  }

  /** Issue and arrival. `false`: it must look again. */
  protected *access(): Op<boolean> {
    const { translation } = this;
    if (!translation) return false;
    this.inFlight++;
    try {
      yield* point("importer.access");
      return this.arrive(translation);
    } finally {
      this.inFlight--;
    }
  }

  protected arrive({ runs, step: lookedUpStep }: Translation): boolean {
    for (const run of runs) this.#options.arrived({ importer: this.name, run, lookedUpStep });
    return true;
  }

  /** A TLB flush: nothing is in flight behind it. */
  protected settle(): Op<void> {
    const idle = (): boolean => this.inFlight === 0;
    return until("importer.flush", idle, () => `accesses of ${this.name}`);
  }
}
