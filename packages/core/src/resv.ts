/** The reservation of a buffer: the lock under which its mappings change. Linux: `struct dma_resv`. */
import { type Op, point, until } from "./op.js";
import type { Scheduler, Task } from "./scheduler.js";
import type { Trace } from "./trace.js";

/** An acquire context shared by the locks of one operation. Linux: `struct ww_acquire_ctx`. */
export interface AcquireTicket {
  /** Smaller is older. */
  readonly stamp: number;
}

/** Proof that a reservation is held, lent to a callback: it can be shown, not released. */
export interface Held {
  readonly resv: DmaResv;
  readonly ticket: AcquireTicket | null;
  /** False once the lock is given back: a stale proof is a finding wherever it is shown. */
  readonly live: boolean;
}

/** Ownership of a held reservation. Dispose it exactly once: `using guard = yield* resv.lock()`. */
export interface ResvGuard extends Held, Disposable {}

/** A lock that one task holds at a time. Not recursive: locking it twice in one task is a self-deadlock. */
export class DmaResv {
  readonly name: string;
  readonly #scheduler: Scheduler;
  readonly #trace: Trace;
  #holder: Task | null = null;
  #locked = false;

  constructor(name: string, scheduler: Scheduler, trace: Trace) {
    this.name = name;
    this.#scheduler = scheduler;
    this.#trace = trace;
  }

  /** Is it held? */
  get locked(): boolean {
    return this.#locked;
  }

  /** The task that holds it; `null` when it is free or was taken outside any task. */
  get holder(): Task | null {
    return this.#holder;
  }

  /**
   * Takes the lock; sleeps until it is free. Taking a free lock is a schedule point too.
   * Linux: `dma_resv_lock()`. Wound-wait between tickets is not modelled yet: a ticket is carried, not compared.
   */
  *lock(ticket: AcquireTicket | null = null): Op<ResvGuard> {
    yield* point("resv.lock");
    yield* until(
      "resv.lock",
      () => !this.#locked,
      () => `${this.name}, held by ${this.#holder?.name ?? "set-up"}`,
    );
    return this.#take(ticket);
  }

  /** Takes the lock if it is free. Does not sleep. Linux: `dma_resv_trylock()`. */
  tryLock(): ResvGuard | null {
    return this.#locked ? null : this.#take(null);
  }

  #take(ticket: AcquireTicket | null): ResvGuard {
    this.#holder = this.#scheduler.current;
    this.#locked = true;
    this.#trace.emit("lock", () => `${this.name} locked`);
    let live = true;
    const unlock = (): void => {
      if (!live) return;
      live = false;
      this.#holder = null;
      this.#locked = false;
      this.#trace.emit("unlock", () => `${this.name} unlocked`);
    };
    return {
      resv: this,
      ticket,
      get live() {
        return live;
      },
      [Symbol.dispose]: unlock,
    };
  }
}
