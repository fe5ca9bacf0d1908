/** A timeline whose fences signal as it is advanced. Linux: `sw_sync`. */
import { DmaFence, type Env } from "@dma-buf/core";

/**
 * Fences of one context with rising seqnos, in order.
 * @example
 * const ring = new Timeline(env, "ring0");
 * const job = ring.submit();
 * ring.advance();
 * job.status; // 1
 */
export class Timeline {
  readonly context: number;
  readonly name: string;
  readonly #env: Env;
  readonly #open: DmaFence[] = [];
  #seqno = 0;

  constructor(env: Env, name: string) {
    this.#env = env;
    this.name = name;
    this.context = env.allocContexts(1);
  }

  /** The next fence; the caller owns the reference, the timeline has one of its own until it signals. */
  submit(): DmaFence {
    const ops = { driverName: () => "timeline", timelineName: () => this.name };
    const fence = new DmaFence(this.#env, ops, this.context, ++this.#seqno);
    this.#open.push(fence.get());
    return fence;
  }

  /** Signals the `count` oldest. */
  advance(count = 1): void {
    for (const fence of this.#open.splice(0, count)) {
      fence.signal();
      fence.put();
    }
  }
}
