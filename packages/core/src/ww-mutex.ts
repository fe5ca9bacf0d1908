/**
 * The lock under a reservation. Linux: `struct ww_mutex` of the wait-die class `reservation_ww_class`. Of two tickets
 * that contend, the younger gives way if it holds other locks: whoever is oldest always gets on.
 */
import { syncRows as rows } from "./contracts/sync.js";
import type { Env } from "./env.js";
import { type Op, point, until } from "./op.js";
import type { Task } from "./scheduler.js";

/**
 * What the locks of one operation share. Linux: `struct ww_acquire_ctx`. After `EDEADLK` give every lock of the ticket
 * back, take the contended one by `lockSlow`, then the others, with the same ticket: it ages, and finally wins.
 * @example
 * const ticket = new AcquireTicket(env);
 * using first = yield* buf.resv.lock(ticket);
 * ticket.acquired; // 1
 */
export class AcquireTicket {
  /** Smaller is older. */
  readonly stamp: number;
  /** Locks held by it now. */
  acquired = 0;
  /** The lock that answered `EDEADLK`; the next to be taken, by `lockSlow`. */
  contending: WwMutex | null = null;
  /** No more locks will be taken. Linux: `ww_acquire_done()`. */
  done = false;
  readonly #env: Env;

  constructor(env: Env) {
    this.#env = env;
    this.stamp = env.nextStamp();
  }

  /** Ends it; a lock it still holds is a finding. Linux: `ww_acquire_fini()`. */
  fini(): void {
    if (this.acquired > 0)
      this.#env.report("warn", rows.ticket, "importer", `ticket ${this.stamp} still holds ${this.acquired} lock(s)`);
  }
}

/** How to wait for the lock. */
export interface LockOptions {
  /** Does a signal end the wait, with `EINTR`? @defaultValue false */
  readonly interruptible?: boolean;
  /** Wait whatever else the ticket holds: the slow path after a back-off. @defaultValue false */
  readonly slow?: boolean;
}

interface Waiter {
  readonly ticket: AcquireTicket | null;
  readonly task: Task | null;
}

/**
 * Not recursive: taking it twice in one task without a ticket waits for ever, and is a finding.
 * @example
 * const mutex = new WwMutex("R", env);
 * yield* mutex.acquire(null, {});
 * mutex.release();
 */
export class WwMutex {
  readonly name: string;
  readonly env: Env;
  #owner: { readonly task: Task | null; readonly ticket: AcquireTicket | null } | null = null;
  /** Tickets in the order of their stamps, oldest first; who has none waits where he came. */
  readonly #waiters: Waiter[] = [];

  constructor(name: string, env: Env) {
    this.name = name;
    this.env = env;
  }

  get locked(): boolean {
    return this.#owner !== null;
  }

  /** The task that holds it; `null` when it is free or was taken outside any task. */
  get holder(): Task | null {
    return this.#owner?.task ?? null;
  }

  /** The ticket that holds it: whoever runs under the lock may take further locks with it. */
  get ticket(): AcquireTicket | null {
    return this.#owner?.ticket ?? null;
  }

  /** Takes it without waiting, or not. Never with a ticket. */
  tryAcquire(): boolean {
    if (this.#owner) return false;
    this.#take(null);
    return true;
  }

  /** Taking a free lock is a schedule point too. Errors: the row `sync/dma_resv_lock`. */
  *acquire(ticket: AcquireTicket | null, options: LockOptions): Op<void> {
    yield* point("resv.lock");
    const { env, name } = this;
    if (ticket && this.ticket === ticket)
      throw env.error("EALREADY", rows.lock, `ticket ${ticket.stamp} holds ${name} already: go on with it`);
    if (ticket?.done) env.report("warn", rows.lock, "importer", `ticket ${ticket.stamp} is done and takes ${name}`);
    if (this.#owner) yield* this.#wait(ticket, options);
    this.#take(ticket);
  }

  release(): void {
    const ticket = this.#owner?.ticket;
    if (ticket) ticket.acquired--;
    this.#owner = null;
  }

  #take(ticket: AcquireTicket | null): void {
    this.#owner = { task: this.env.scheduler.current, ticket };
    if (!ticket) return;
    ticket.acquired++;
    ticket.contending = null;
  }

  *#wait(ticket: AcquireTicket | null, { interruptible = false, slow = false }: LockOptions): Op<void> {
    const { env, name } = this;
    const task = env.scheduler.current;
    if (task && this.holder === task)
      env.report("violation", rows.lock, "importer", `${task.name} holds ${name} and locks it again: waits for itself`);
    const waiter: Waiter = { ticket, task };
    this.#waiters.splice(this.#place(ticket), 0, waiter);
    const dies = (): boolean => !slow && this.#mustDie(waiter);
    const interrupted = (): boolean => interruptible && (task?.signalPending ?? false);
    const turn = (): boolean => !this.#owner && this.#waiters[0] === waiter;
    const over = (): boolean => dies() || interrupted() || turn();
    try {
      yield* until("resv.lock", over, () => this.#heldBy());
    } finally {
      this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
    }
    // As the kernel's loop: a free lock is taken even by who was told to die or was sent a signal.
    if (!this.#owner) return;
    if (interrupted()) throw env.error("EINTR", rows.lock, "a signal is pending: start the call again");
    if (ticket) ticket.contending = this;
    throw env.error("EDEADLK", rows.lock, `${this.#heldBy()}: give every lock back, then lockSlow this one`);
  }

  /** Behind the last older ticket; without a ticket, last. */
  #place(ticket: AcquireTicket | null): number {
    if (!ticket) return this.#waiters.length;
    const older = this.#waiters.findLastIndex((w) => w.ticket !== null && w.ticket.stamp < ticket.stamp);
    const younger = this.#waiters.findIndex((w, i) => i > older && w.ticket !== null);
    return younger < 0 ? this.#waiters.length : younger;
  }

  /** Wait-die: who holds other locks does not wait for an older ticket. */
  #mustDie({ ticket }: Waiter): boolean {
    if (!ticket || ticket.acquired === 0) return false;
    const ahead = [this.ticket, ...this.#waiters.map((w) => w.ticket)];
    return ahead.some((other) => other !== null && other.stamp < ticket.stamp);
  }

  #heldBy(): string {
    const { holder, ticket } = this;
    return `${this.name}, held by ${holder?.name ?? "set-up"}${ticket ? ` with ticket ${ticket.stamp}` : ""}`;
  }
}
