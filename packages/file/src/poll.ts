/** Who waits for a buffer to become readable or writable: one fence's callback for each direction, whoever polls. */
import { type DmaBuf, DmaBufError, type DmaFence, type FenceCallback, type Framework, usageRw } from "@dma-buf/core";

import { wakeAll } from "./wake.js";

/** `in`: may be read, `EPOLLIN`. `out`: may be written, `EPOLLOUT`. */
export type PollDirection = "in" | "out";

/** Pollers by direction; absent: no callback is armed. */
type Armed = Partial<Record<PollDirection, (() => void)[]>>;

/** The armed directions of every buffer of one framework: all processes share them. */
export class Polls {
  readonly #framework: Framework;
  readonly #armed = new WeakMap<DmaBuf, Armed>();

  constructor(framework: Framework) {
    this.#framework = framework;
  }

  /** Is there something to wait for? Then `wake` is called once it is over. Call with the reservation held. */
  arm(buf: DmaBuf, direction: PollDirection, wake: () => void): boolean {
    const armed = this.#of(buf);
    const others = armed[direction];
    if (others) {
      others.push(wake);
      return true;
    }
    const wakes = [wake];
    const callback = { run: () => this.#done(buf, direction, wakes) };
    const cursor = buf.resv.forEachUnlocked(usageRw(direction === "out"));
    for (let slot = cursor.next(); slot; slot = cursor.next())
      if (accepts(slot.fence, callback)) {
        armed[direction] = wakes;
        this.#framework.get(buf);
        return true;
      }
    return false;
  }

  #done(buf: DmaBuf, direction: PollDirection, wakes: readonly (() => void)[]): void {
    delete this.#of(buf)[direction];
    // The last reference may sleep; a fence's callback must not.
    this.#framework.scheduler.spawn("fput", this.#framework.fput(buf));
    wakeAll(wakes);
  }

  #of(buf: DmaBuf): Armed {
    const known = this.#armed.get(buf) ?? {};
    this.#armed.set(buf, known);
    return known;
  }
}

/** A fence that has signalled takes no callback: then the next one is asked. */
function accepts(fence: DmaFence, callback: FenceCallback): boolean {
  try {
    fence.addCallback(callback);
    return true;
  } catch (error) {
    if (error instanceof DmaBufError && error.code === "ENOENT") return false;
    throw error;
  }
}
