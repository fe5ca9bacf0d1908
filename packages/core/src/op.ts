/**
 * Sleeping, made visible: a function that may sleep is a generator. What it yields is the only way in which it can
 * be suspended, so the scheduler owns every step. There is no Promise in the model.
 */

/** A point at which other tasks may run. */
export interface Wait {
  /** The site's name: `resv.lock`, `kvm.mmu_lock`, `iotlb.flush`. */
  readonly site: string;
  /** When the task may go on; `null` marks a schedule point at which there is nothing to wait for. */
  readonly ready: (() => boolean) | null;
  /** What is waited for, and who holds it: text for a deadlock's finding. */
  readonly blockedOn?: () => string;
  /** The modelled time, in ticks, at which the task goes on even if `ready` does not hold. */
  readonly deadline?: number;
}

/**
 * An operation that may sleep and ends in a `T`. Throws what the operation throws.
 * @example
 * function* twice(op: () => Op<number>): Op<number> {
 *   return (yield* op()) + (yield* op());
 * }
 */
export type Op<T> = Generator<Wait, T, void>;

/** What a callback returns: a value at once, or an operation that may sleep. A Promise is a finding. */
export type MaySleep<T> = T | Op<T>;

/**
 * Is this the generator of an `Op`?
 * @example
 * [isOp(framework.put(buf)), isOp(4)]; // [true, false]
 */
export function isOp<T>(value: MaySleep<T>): value is Op<T> {
  return typeof (value as { next?: unknown } | null | undefined)?.next === "function";
}

/**
 * Is this a Promise, or anything with a `then`?
 * @example
 * isThenable(Promise.resolve()); // true
 */
export function isThenable(value: unknown): boolean {
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}

/**
 * Runs what a callback gave back to its end.
 * @example
 * const four = yield* perform(4); // 4
 */
export function* perform<T>(result: MaySleep<T>): Op<T> {
  return isOp(result) ? yield* result : result;
}

/**
 * A schedule point: here others may run.
 * @example
 * yield* point("kvm.mmu_lock");
 */
export function* point(site: string): Op<void> {
  yield { site, ready: null };
}

/**
 * Sleeps until `ready` holds, or until `deadline`, a modelled time in ticks. The condition is read again at each
 * step; it must not change anything. Whether it was the deadline, the caller sees by asking again.
 * @example
 * fence.signal();
 * yield* until("job", () => fence.signaled, () => fence.describe());
 */
export function* until(
  site: string,
  ready: () => boolean,
  blockedOn: () => string = () => "a condition nobody fulfils",
  deadline: number = Infinity,
): Op<void> {
  if (!ready()) yield { site, ready, blockedOn, deadline };
}
