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
  until,
  Usage,
  type Window,
} from "@dma-buf/core";
import type { ClassImporterOptions, ImporterClass, Translation } from "./options.js";

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
