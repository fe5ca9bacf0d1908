/** The reservation of a buffer: the lock under which its mappings change, and the fences of who uses it. */
import { syncRows as rows, type SyncRow } from "./contracts/sync.js";
import type { Env } from "./env.js";
import type { DmaFence, WaitOptions } from "./fence.js";
import { type Op } from "./op.js";
import { capacityFor, FenceCursor, type Slot, type SlotList, slotFor } from "./resv-fences.js";
import { Usage, usageName } from "./usage.js";
import { type AcquireTicket, type LockOptions, WwMutex } from "./ww-mutex.js";

/** Proof that a reservation is held, lent to a callback: it can be shown, not released. */
export interface Held {
  readonly resv: DmaResv;
  readonly ticket: AcquireTicket | null;
  /** False once the lock is given back: a stale proof is a finding wherever it is shown. */
  readonly live: boolean;
}

/** Ownership of a held reservation. Dispose it exactly once: `using guard = yield* resv.lock()`. */
export interface ResvGuard extends Held, Disposable {}

/**
 * Linux: `struct dma_resv`. A call that changes fences wants the {@link Held} of this reservation; without a live one
 * it is a finding, and goes on. Errors and findings of each call: the rows `sync/*`.
 * @example
 * using held = yield* buf.resv.lock();
 * buf.resv.reserveFences(held, 1);
 * buf.resv.addFence(held, fence, Usage.WRITE);
 */
export class DmaResv {
  readonly name: string;
  readonly env: Env;
  readonly #mutex: WwMutex;
  #list: SlotList | null = null;

  constructor(name: string, env: Env) {
    this.name = name;
    this.env = env;
    this.#mutex = new WwMutex(name, env);
  }

  /** Is it held? */
  get locked(): boolean {
    return this.#mutex.locked;
  }

  /** The task that holds it; `null` when it is free or was taken outside any task. */
  get holder(): WwMutex["holder"] {
    return this.#mutex.holder;
  }

  /** The list as it is; another object each time it is made anew. For iteration without the lock. */
  get list(): SlotList | null {
    return this.#list;
  }

  /**
   * Takes the lock; sleeps until it is free. Taking a free lock is a schedule point too.
   * @throws DmaBufError `EDEADLK`, `EALREADY` with a ticket; `EINTR` if interruptible.
   */
  *lock(ticket: AcquireTicket | null = null, options: LockOptions = {}): Op<ResvGuard> {
    yield* this.#mutex.acquire(ticket, options);
    return this.#guard(ticket);
  }

  /** Takes the lock that answered `EDEADLK`, holding no other. Cannot answer `EDEADLK`. */
  *lockSlow(ticket: AcquireTicket, options: LockOptions = {}): Op<ResvGuard> {
    const warn = (message: string): void => this.env.report("warn", rows.lockSlow, "importer", message);
    if (ticket.acquired > 0)
      warn(`ticket ${ticket.stamp} still holds ${ticket.acquired} lock(s): give them back first`);
    if (ticket.contending && ticket.contending !== this.#mutex)
      warn(`${this.name} is not ${ticket.contending.name}, which answered EDEADLK`);
    yield* this.#mutex.acquire(ticket, { ...options, slow: true });
    return this.#guard(ticket);
  }

  /** Takes the lock if it is free, without a ticket. Does not sleep. */
  tryLock(): ResvGuard | null {
    return this.#mutex.tryAcquire() ? this.#guard(null) : null;
  }

  /** Makes room for `n` fences more than there are. Not cumulative, and lost at unlock. @throws DmaBufError `EINVAL`, `ENOMEM` */
  reserveFences(held: Held, n: number): void {
    this.#assertHeld(rows.reserveFences, held);
    if (n === 0) this.env.refuse("EINVAL", rows.reserveFences, "importer", "0 fences: reserve at least 1");
    const { slots, max } = this.#list ?? { slots: [], max: 0 };
    if (this.#list && slots.length + n <= max) return;
    this.env.alloc(rows.reserveFences);
    const [kept, done]: [Slot[], Slot[]] = [[], []];
    for (const slot of slots) (slot.fence.signaled ? done : kept).push(slot);
    for (const { fence } of done) fence.put();
    this.#list = { slots: kept, max: capacityFor(n, slots.length, max) };
  }

  /** Adds a fence and takes a reference to it. Cannot fail, once room was made. */
  addFence(held: Held, fence: DmaFence, usage: Usage): void {
    const { env } = this;
    this.#assertHeld(rows.addFence, held);
    if (fence.isContainer)
      env.report("warn", rows.addFence, "importer", `${fence.describe()} is a container: add its members`);
    const list = this.#list ?? env.bug(rows.addFence, "importer", `${this.name} has no room: reserveFences first`);
    const index = slotFor(list.slots, fence, usage);
    if (index < 0 && list.slots.length >= list.max)
      env.bug(rows.addFence, "importer", `${this.name} is full with ${list.max} fences: reserveFences first`);
    const replaced = list.slots[index];
    list.slots[index < 0 ? list.slots.length : index] = { fence: fence.get(), usage };
    replaced?.fence.put();
    env.trace.emit("fence", () => `${this.name}: ${fence.describe()} added as ${usageName(usage)}`);
  }

  /** Puts `replacement` into every slot of `context`. */
  replaceFences(held: Held, context: number, replacement: DmaFence, usage: Usage): void {
    this.#assertHeld(rows.replaceFences, held);
    for (const [i, { fence }] of this.#list?.slots.entries() ?? [])
      if (fence.context === context) {
        this.#list?.slots.splice(i, 1, { fence: replacement.get(), usage });
        fence.put();
      }
  }

  /** Every fence of `usage` or stronger, signalled ones too. No references are taken. */
  forEach(held: Held, usage: Usage): readonly Slot[] {
    this.#assertHeld(rows.forEach, held);
    return this.#list?.slots.filter((s) => s.usage <= usage) ?? [];
  }

  /** The unsignalled fences of `usage` or stronger, without the lock; may restart, see {@link FenceCursor}. */
  forEachUnlocked(usage: Usage): FenceCursor {
    return new FenceCursor(this, usage);
  }

  /** The unsignalled fences of `usage` or stronger, each with a reference that the caller puts. @throws DmaBufError `ENOMEM` */
  getFences(usage: Usage): DmaFence[] {
    const fences = Array.from(this.#unsignaled(usage), (s) => s.fence);
    if (fences.length > 0) this.env.alloc(rows.getFences);
    return fences.map((fence) => fence.get());
  }

  /** Takes over what `source` has unsignalled, with its usages; what was here is put. @throws DmaBufError `ENOMEM` */
  copyFences(held: Held, source: DmaResv): void {
    this.#assertHeld(rows.copyFences, held);
    this.env.alloc(rows.copyFences);
    const slots = Array.from(source.#unsignaled(Usage.BOOKKEEP), (s) => ({ ...s, fence: s.fence.get() }));
    this.fini();
    this.#list = slots.length > 0 ? { slots, max: slots.length } : null;
  }

  /**
   * Waits for every fence of `usage` or stronger, one after the other out of one timeout. With or without the lock.
   * Tells the ticks that are left, at least 1; 0 when time is up. @throws DmaBufError `ERESTARTSYS`
   */
  *waitTimeout(usage: Usage, { interruptible = false, timeoutTicks = Infinity }: WaitOptions = {}): Op<number> {
    if (timeoutTicks === 0) return this.testSignaled(usage) ? 1 : 0;
    let left = timeoutTicks;
    for (const { fence } of this.#unsignaled(usage)) {
      fence.get();
      try {
        left = yield* fence.wait({ interruptible, timeoutTicks: left });
      } finally {
        fence.put();
      }
      if (left === 0) return 0;
    }
    return left;
  }

  /** Have all of `usage` or stronger signalled? */
  testSignaled(usage: Usage): boolean {
    return this.#unsignaled(usage).next().done === true;
  }

  /** Passes a hint to each of them. */
  setDeadline(usage: Usage, at: number): void {
    for (const { fence } of this.#unsignaled(usage)) fence.setDeadline(at);
  }

  /** Puts every fence. Linux: `dma_resv_fini()`: the caller is the last user. */
  fini(): void {
    for (const { fence } of this.#list?.slots ?? []) fence.put();
    this.#list = null;
  }

  *#unsignaled(usage: Usage): Generator<Slot, void, void> {
    const cursor = this.forEachUnlocked(usage);
    for (let slot = cursor.next(); slot; slot = cursor.next()) yield slot;
  }

  #assertHeld(row: SyncRow, held: Held): void {
    if (!held.live || held.resv !== this)
      this.env.report("violation", row, "importer", `${row.op} without holding ${this.name}: lock it first`);
  }

  #guard(ticket: AcquireTicket | null): ResvGuard {
    this.env.trace.emit("lock", () => `${this.name} locked`);
    return new Guard(this, ticket, this.#unlock);
  }

  readonly #unlock = (): void => {
    if (this.#list) this.#list.max = this.#list.slots.length;
    this.#mutex.release();
    this.env.trace.emit("unlock", () => `${this.name} unlocked`);
  };
}

/** A class, as an object with a method of its own takes ten times as long to make. */
class Guard implements ResvGuard {
  live = true;
  readonly resv: DmaResv;
  readonly ticket: AcquireTicket | null;
  readonly #unlock: () => void;

  constructor(resv: DmaResv, ticket: AcquireTicket | null, unlock: () => void) {
    this.resv = resv;
    this.ticket = ticket;
    this.#unlock = unlock;
  }

  [Symbol.dispose](): void {
    if (this.live) this.#unlock();
    this.live = false;
  }
}
