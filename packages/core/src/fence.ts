/** A fence: work that will be done. Linux: `struct dma_fence`. Containers are `@dma-buf/fence`'s. */
import { syncRows as rows } from "./contracts/sync.js";
import type { Env } from "./env.js";
import { ERRNO } from "./contracts/errno.js";
import { isOp, isThenable, type Op, point, until } from "./op.js";

/** What the issuer of a fence does. Called under the fence's lock unless said otherwise: must not sleep. */
export interface DmaFenceOps {
  driverName(fence: DmaFence): string;
  timelineName(fence: DmaFence): string;
  /** Called at most once, when somebody is first interested. `false`: it is done already, and the core signals. */
  enableSignaling?(fence: DmaFence): boolean;
  /** Asks the hardware. Without the lock. */
  signaled?(fence: DmaFence): boolean;
  /** The last reference is gone. Without the lock. */
  release?(fence: DmaFence): void;
  /** A hint: somebody needs it at `at`, modelled ticks. Without the lock. */
  setDeadline?(fence: DmaFence, at: number): void;
  /** Does it stand for other fences? An array or a chain must not be added to a reservation. */
  readonly isContainer?: boolean;
}

/** A callback's node: one for each time it is added. Must not sleep, and must not take the fence's lock. */
export interface FenceCallback {
  run(fence: DmaFence): void;
}

/** Limits of a wait. Ticks are the scheduler's modelled time. */
export interface WaitOptions {
  /** Does a signal end the wait? @defaultValue false */
  readonly interruptible?: boolean;
  /** Ticks; `Infinity` waits for ever. @defaultValue Infinity */
  readonly timeoutTicks?: number;
}

/**
 * Unsignalled, then signalled for good. Seqnos and contexts are Numbers, exact to 2^53.
 * @example
 * const fence = new DmaFence(env, { driverName: () => "gpu", timelineName: () => "ring0" }, env.allocContexts(1), 1);
 * fence.signal();
 * fence.status; // 1
 */
export class DmaFence {
  readonly context: number;
  readonly seqno: number;
  /** Are seqnos compared as 64 bits? Otherwise as 32 bits that wrap. */
  readonly seqno64: boolean;
  readonly env: Env;
  #ops: DmaFenceOps | null;
  readonly #callbacks: FenceCallback[] = [];
  #state: "unsignalled" | "signalling" | "signalled" = "unsignalled";
  #enabled = false;
  #error = 0;
  #timestamp = 0;
  #refs = 1;
  #waiters = 0;

  constructor(env: Env, ops: DmaFenceOps, context: number, seqno: number, seqno64 = false) {
    this.env = env;
    this.#ops = ops;
    this.context = context;
    this.seqno = seqno;
    this.seqno64 = seqno64;
  }

  /** The issuer's operations; `null` once it signalled, unless they have a release: the issuer may go away. */
  get ops(): DmaFenceOps | null {
    return this.#ops;
  }

  get isContainer(): boolean {
    return this.#ops?.isContainer ?? false;
  }

  /** The SIGNALED flag as it is; nobody is asked. */
  get signaledFlag(): boolean {
    return this.#state !== "unsignalled";
  }

  /** Is it done? Asks the issuer; if that says so, the fence signals. Linux: `dma_fence_is_signaled()`. */
  get signaled(): boolean {
    if (!this.signaledFlag && this.#ops?.signaled?.(this)) this.signal();
    return this.signaledFlag;
  }

  /** 0: active. 1: done. Negative: the errno with which it ended. Linux: `dma_fence_get_status()`. */
  get status(): number {
    return this.signaled ? this.#error || 1 : 0;
  }

  /** When it signalled, modelled ticks; 0 before. */
  get timestamp(): number {
    return this.#timestamp;
  }

  /** References held. */
  get refs(): number {
    return this.#refs;
  }

  /** Takes a reference and gives the fence back. */
  get(): this {
    this.#refs++;
    return this;
  }

  /** Gives a reference back; the last one releases. Who still waits then is told `EDEADLK`, with a finding. */
  put(): void {
    if (this.#refs === 0) this.env.bug(rows.release, "framework", `${this.describe()}: put more often than got`);
    if (--this.#refs > 0) return;
    if (!this.signaledFlag && this.#callbacks.length + this.#waiters > 0) {
      const why = `${this.describe()} is released with callbacks queued, or somebody waiting`;
      this.env.report("warn", rows.release, "exporter", why);
      this.#error = -ERRNO.EDEADLK;
      this.signal();
    }
    this.#ops?.release?.(this);
  }

  /** Signals, once; a second time is ignored. Callbacks run first in, first out. Linux 7.3: `dma_fence_signal()`. */
  signal(timestamp: number = this.env.scheduler.now): void {
    this.checkAndSignal(timestamp);
  }

  /** {@link signal}, and was it signalled already? Linux: `dma_fence_check_and_signal()`. */
  checkAndSignal(timestamp: number = this.env.scheduler.now): boolean {
    this.#takeLock("signal");
    if (this.signaledFlag) return true;
    this.#state = "signalling";
    this.env.trace.emit("fence", () => `${this.describe()} signals`);
    if (!this.#ops?.release) this.#ops = null;
    const callbacks = this.#callbacks.splice(0);
    this.#timestamp = timestamp;
    const thrown: unknown[] = [];
    for (const callback of callbacks) this.#call(callback, thrown);
    this.#state = "signalled";
    if (thrown.length > 0) throw thrown[0];
    return false;
  }

  /** As until Linux 6.17, where the call told. @throws DmaBufError `EINVAL` when it was signalled already */
  signalStrict(): void {
    if (this.checkAndSignal())
      throw this.env.error("EINVAL", rows.signalStrict, `${this.describe()} is signalled already: signal once`);
  }

  /** Tells the issuer that somebody is interested. Linux: `dma_fence_enable_sw_signaling()`. */
  enableSignaling(): void {
    if (this.#enabled || this.signaledFlag) return;
    this.#enabled = true;
    if (this.#ops?.enableSignaling?.(this) === false) this.signal();
  }

  /** @throws DmaBufError `ENOENT` when it is signalled: the callback will not run; `EINVAL` without a function. */
  addCallback(callback: FenceCallback): void {
    if (typeof (callback as Partial<FenceCallback> | null)?.run !== "function")
      this.env.refuse("EINVAL", rows.addCallback, "importer", "no function to call: give one");
    this.enableSignaling();
    if (this.signaledFlag)
      throw this.env.error("ENOENT", rows.addCallback, `${this.describe()} is signalled: act now instead`);
    this.#callbacks.push(callback);
  }

  /** Takes a callback back. `true`: it was queued, and will not run. */
  removeCallback(callback: FenceCallback): boolean {
    this.#takeLock("removeCallback");
    const index = this.#callbacks.indexOf(callback);
    return index >= 0 && this.#callbacks.splice(index, 1).length > 0;
  }

  /** Sets a negative errno, before signalling. Anything else is stored too, with a finding. */
  setError(error: number): void {
    if (this.signaledFlag)
      this.env.report("warn", rows.setError, "exporter", `${this.describe()} is signalled already`);
    if (error >= 0 || error < -4095)
      this.env.report("warn", rows.setError, "exporter", `${error} is no negative errno: -4095 to -1`);
    this.#error = error;
  }

  /** Passes a hint on; nothing happens if it is signalled or the issuer takes none. */
  setDeadline(at: number): void {
    if (!this.signaled) this.#ops?.setDeadline?.(this, at);
  }

  /**
   * Waits. Tells the ticks that are left, at least 1; 0 when time is up. `timeoutTicks: 0` asks and does not sleep.
   * @throws DmaBufError `ERESTARTSYS` when a signal is pending; `EINVAL`, with a finding, for a negative timeout.
   */
  *wait({ interruptible = false, timeoutTicks = Infinity }: WaitOptions = {}): Op<number> {
    const { env } = this;
    if (timeoutTicks < 0)
      env.refuse("EINVAL", rows.wait, "importer", `timeout ${timeoutTicks} is negative: 0 asks only`);
    yield* point("fence.wait");
    this.enableSignaling();
    if (this.signaled) return timeoutTicks || 1;
    const task = env.scheduler.current;
    const interrupted = (): boolean => interruptible && (task?.signalPending ?? false);
    const over = (): boolean => this.signaledFlag || interrupted();
    const deadline = env.scheduler.now + timeoutTicks;
    this.#waiters++;
    try {
      if (timeoutTicks > 0) yield* until("fence.wait", over, () => this.describe(), deadline);
    } finally {
      this.#waiters--;
    }
    if (this.signaledFlag) return Math.max(1, deadline - env.scheduler.now);
    if (interrupted()) throw env.error("ERESTARTSYS", rows.wait, "a signal is pending: start the call again");
    return 0;
  }

  /** Is it later than `other` of the same context? Another context is a finding, and `false`. */
  isLater(other: DmaFence): boolean {
    if (this.context !== other.context) {
      this.env.report("warn", rows.isLater, "framework", `contexts ${this.context} and ${other.context} differ`);
      return false;
    }
    const wide = this.seqno64 || other.seqno64;
    return wide ? this.seqno > other.seqno : ((this.seqno - other.seqno) | 0) > 0;
  }

  /** `context:seqno timeline driver signalled|unsignalled`, as debugfs prints it. */
  describe(): string {
    const live = !this.signaledFlag;
    const names = live ? ` ${this.timelineName} ${this.driverName}` : "";
    return `${this.context}:${this.seqno}${names} ${live ? "unsignalled" : "signalled"}`;
  }

  get driverName(): string {
    return this.#ops?.driverName(this) ?? "detached-driver";
  }

  get timelineName(): string {
    return this.#ops?.timelineName(this) ?? "signaled-timeline";
  }

  /** One that throws keeps no other from being called. */
  #call(callback: FenceCallback, thrown: unknown[]): void {
    try {
      const result: unknown = callback.run(this);
      if (isOp(result) || isThenable(result))
        this.env.report("bug", rows.fenceCallback, "importer", `a callback of ${this.describe()} sleeps`);
    } catch (error) {
      thrown.push(error);
    }
  }

  /** The fence's lock is held exactly while it runs its callbacks; a callback that takes it waits for itself. */
  #takeLock(call: string): void {
    if (this.#state !== "signalling") return;
    this.env.bug(rows.fenceCallback, "importer", `a callback of ${this.describe()} calls ${call}: it takes its lock`);
  }
}
