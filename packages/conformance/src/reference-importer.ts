/** An importer that keeps every rule of any contract. */
import {
  type DmaBuf,
  type DmaBufAttachment,
  type Framework,
  type Held,
  mappedWindow,
  type Op,
  point,
  type Run,
  type Window,
  withRuns,
} from "@dma-buf/core";

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

/** One that maps, whatever its contract offers besides: for an exporter that has no page frames to tell. */
export class MappingImporter extends ReferenceImporter {
  protected override *look(fw: Framework, at: DmaBufAttachment): Op<Window> {
    return mappedWindow(fw, at, "bidirectional", (run) => run);
  }
}
