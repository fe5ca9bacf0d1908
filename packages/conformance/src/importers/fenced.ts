/** A GPU: its jobs are covered by fences, and whoever takes the memory waits for them. */
import { DmaFence, type Held, type Op, Usage } from "@dma-buf/core";
import { ClassImporter } from "./class-importer.js";

export class Fenced extends ClassImporter {
  readonly name = "fenced";
  #context = 0;
  #seqno = 0;
  #job: "none" | "runs" | "runs on what is gone" = "none";
  /** What the kernel did with the memory before the job was submitted. */
  readonly #before: DmaFence[] = [];

  /** A job: submitted with its fence under the reservation, done when the access has arrived. */
  override *use(): Op<void> {
    const fence = yield* this.#submit();
    yield* this.awaitKernel();
    yield* this.access();
    fence.signal();
    fence.put();
    const late = this.#job === "runs on what is gone";
    this.#job = "none";
    if (!late) return;
    this.translation = null;
    using held = yield* this.at.buf.resv.lock();
    yield* this.drop(held);
  }

  /** What comes after the job waits for it: it must not wait for that. */
  protected override *awaitKernel(): Op<void> {
    for (const fence of this.#before.splice(0)) {
      yield* fence.wait();
      fence.put();
    }
  }

  /** A job goes on with what it has: its fence says until when. */
  protected override *told(held: Held): Op<void> {
    if (this.#job === "none") return yield* super.told(held);
    this.overtake();
    this.#job = "runs on what is gone";
  }

  *#submit(): Op<DmaFence> {
    for (;;) {
      if (this.window.resv === "free") yield* this.translate(null);
      using held = yield* this.at.buf.resv.lock();
      if (this.window.resv === "held") yield* this.translate(held);
      if (this.translation) return this.#cover(held);
    }
  }

  #cover(held: Held): DmaFence {
    const { env } = this.fw;
    const { resv } = this.at.buf;
    this.#context ||= env.allocContexts(1);
    const names = { driverName: () => this.name, timelineName: () => "jobs" };
    resv.reserveFences(held, 1);
    this.#before.push(...resv.getFences(Usage.KERNEL));
    const fence = new DmaFence(env, names, this.#context, ++this.#seqno);
    resv.addFence(held, fence, Usage.BOOKKEEP);
    this.#job = "runs";
    return fence;
  }
}
