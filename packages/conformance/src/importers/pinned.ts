/** RDMA: it pins, and what it was told then stays, or stops for ever. */
import type { DmaBufAttachOps, Held, Op } from "@dma-buf/core";
import { ClassImporter } from "./class-importer.js";
import type { ImporterClass } from "./options.js";

export class PinnedRevocable extends ClassImporter {
  readonly name: ImporterClass = "pinned-revocable";
  #pinned = false;
  #stopped = false;

  override *close(): Op<void> {
    if (this.#pinned) {
      using held = yield* this.at.buf.resv.lock();
      this.translation = null;
      yield* this.drop(held);
      yield* this.#unpin(held);
    }
    yield* super.close();
  }

  /** Pins first: what it is told then stays. */
  protected override *look(): Op<void> {
    if (this.#stopped) return;
    if (!this.#pinned) {
      using held = yield* this.at.buf.resv.lock();
      yield* this.fw.pinAttachment(this.at, held);
      this.#pinned = true;
      if (this.window.resv === "held") yield* this.translate(held);
    }
    yield* super.look();
  }

  protected override *access(): Op<boolean> {
    return this.#stopped || (yield* super.access());
  }

  /** For ever: it does not look again. */
  protected override *told(held: Held): Op<void> {
    this.#stopped = true;
    yield* super.told(held);
    yield* this.#unpin(held);
  }

  protected override flush(): Op<void> {
    return this.settle();
  }

  *#unpin(held: Held): Op<void> {
    if (!this.#pinned) return;
    this.#pinned = false;
    yield* this.fw.unpinAttachment(this.at, held);
  }
}

/** Cannot be told: it brings no callback. */
export class Pinned extends PinnedRevocable {
  override readonly name = "pinned";

  protected override ops(): DmaBufAttachOps {
    return { allowPeer2peer: true };
  }
}
