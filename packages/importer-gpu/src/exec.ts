/** Many reservations under one ticket, in whatever order they are asked for. Linux: `struct drm_exec`. */
import { AcquireTicket, DmaBufError, type DmaResv, type Env, type Held, type Op, type ResvGuard } from "@dma-buf/core";

/**
 * Locks of one operation. Where another, older one holds a lock, everything is given back, that lock is waited for, and the
 * list is gone through again: with the same ticket, which ages, so that this ends. Whoever makes one calls {@link fini}.
 */
export class Exec {
  readonly ticket: AcquireTicket;
  /** How often it had to give everything back. */
  contentions = 0;
  readonly #held = new Map<DmaResv, ResvGuard>();

  constructor(env: Env) {
    this.ticket = new AcquireTicket(env);
  }

  /**
   * Locks all of them; one may stand there twice. Interruptible.
   * @throws DmaBufError `EINTR` a signal is pending; then none is held
   */
  *lockAll(resvs: readonly DmaResv[]): Op<void> {
    try {
      for (;;) {
        const contended = yield* this.#lockEach(resvs);
        if (!contended) break;
        this.contentions++;
        this.unlock();
        this.#held.set(contended, yield* contended.lockSlow(this.ticket, { interruptible: true }));
      }
    } catch (error) {
      this.unlock();
      throw error;
    }
  }

  /** The proof for one of those that were locked. */
  held(resv: DmaResv): Held {
    const guard = this.#held.get(resv);
    if (!guard) throw new TypeError(`${resv.name} is not among the locks of this operation: list it`);
    return guard;
  }

  /** Is it among them? */
  has(resv: DmaResv): boolean {
    return this.#held.has(resv);
  }

  /** Gives all back; {@link lockAll} may be called again. */
  unlock(): void {
    for (const guard of this.#held.values()) guard[Symbol.dispose]();
    this.#held.clear();
  }

  fini(): void {
    this.unlock();
    this.ticket.done = true;
    this.ticket.fini();
  }

  /** The one that is held by an older ticket; `null`: all are ours. */
  *#lockEach(resvs: readonly DmaResv[]): Op<DmaResv | null> {
    for (const resv of resvs) {
      try {
        this.#held.set(resv, yield* resv.lock(this.ticket, { interruptible: true }));
      } catch (error) {
        if (!(error instanceof DmaBufError)) throw error;
        if (error.code === "EDEADLK") return resv;
        // It is ours: it stands on the list twice, or was waited for.
        if (error.code !== "EALREADY") throw error;
      }
    }
    return null;
  }
}
