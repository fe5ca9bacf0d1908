/** An importer that keeps every rule of any contract. */
import {
  type DmaBuf,
  type DmaBufAttachment,
  type DmaBufAttachOps,
  type Framework,
  type Held,
  mappedWindow,
  type Op,
  point,
  type Run,
  Usage,
  type Window,
  withRuns,
} from "@dma-buf/core";
import { checkBelievable } from "./believable.js";

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
  protected window: Window | null = null;
  /** What is installed. */
  protected kept: readonly Run[] = [];
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
    return this.kept;
  }

  *attach(buf: DmaBuf, device: DmaBufAttachment["device"]): Op<void> {
    this.#at = yield* this.#fw.dynamicAttach(buf, device, { name: "reference importer", ops: this.ops() });
    try {
      this.window = yield* this.look(this.#fw, this.#at);
    } catch (error) {
      yield* this.#fw.detachAttachment(buf, this.#at);
      throw error;
    }
  }

  protected ops(): DmaBufAttachOps {
    return { allowPeer2peer: true, invalidateMappings: (_at, held) => this.#invalidate(held) };
  }

  /** How it comes to see the buffer: as its contract has it. */
  protected look(fw: Framework, at: DmaBufAttachment): Op<Window> {
    return fw.open(at, "bidirectional");
  }

  *use(): Op<void> {
    while (this.kept.length === 0) {
      const sequence = this.#sequence;
      yield* withRuns(this.attachment, this.window as Window, 0, this.attachment.buf.sizeBytes, (runs) =>
        this.#install(runs, sequence),
      );
    }
  }

  *detach(): Op<void> {
    this.kept = [];
    yield* this.closed(this.window as Window);
    yield* this.#fw.detachAttachment(this.attachment.buf, this.attachment);
  }

  /** Does it install what it is told? @throws DmaBufError `EINVAL` what cannot be true */
  protected believe(runs: readonly Run[]): void {
    checkBelievable(this.attachment.buf, runs);
  }

  *#install(told: readonly Run[], sequence: number): Op<void> {
    const runs = this.copied(told);
    this.believe(runs);
    yield* this.settled();
    yield* this.install(runs, () => !this.retries || sequence === this.#sequence);
  }

  /** What is checked must be what is installed: the list is the exporter's, who may write in it. */
  protected copied(runs: readonly Run[]): readonly Run[] {
    return runs.map((run) => ({ ...run }));
  }

  /** What was moved may be copied later: a KERNEL fence says until when. */
  protected *settled(): Op<void> {
    yield* this.attachment.buf.resv.waitTimeout(Usage.KERNEL);
  }

  /** `isFresh`: was it not told to stop meanwhile? */
  protected *install(runs: readonly Run[], isFresh: () => boolean): Op<void> {
    yield* point("reference.install");
    if (isFresh()) this.kept = runs;
  }

  *#invalidate(held: Held): Op<void> {
    this.#sequence++;
    yield* this.told(held);
  }

  /** It may be told while it attaches, before there is a window. */
  protected *told(held: Held): Op<void> {
    if (this.window) yield* this.dropped(this.window, held);
  }

  /** The exporter invalidated: nothing that was seen is used again. */
  protected *dropped(window: Window, held: Held): Op<void> {
    this.kept = [];
    yield* window.drop(held);
  }

  /** It detaches: what was mapped is given back first. */
  protected *closed(window: Window): Op<void> {
    yield* window.close();
  }
}

/** One that believes what it is told: where the exporter is tried, the kit itself judges. */
export class BelievingImporter extends ReferenceImporter {
  protected override believe(): void {}
}

/** One that maps, whatever its contract offers besides: for an exporter that has no page frames to tell. */
export class MappingImporter extends BelievingImporter {
  protected override *look(fw: Framework, at: DmaBufAttachment): Op<Window> {
    return mappedWindow(fw, at, "bidirectional", (run) => run);
  }
}
