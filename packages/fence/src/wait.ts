/** Waiting for one of several, and which of two is later. Linux: `dma-fence.c`. */
import { type DmaFence, type Env, type Op, point, until, type WaitOptions } from "@dma-buf/core";
import { fenceRows } from "./rows.js";

/** How a wait for one of several ended. */
export interface AnyResult {
  /** Ticks left, at least 1; 0: time is up. */
  readonly left: number;
  /** Which one had signalled, the first in the list; -1: none. */
  readonly index: number;
}

/**
 * Waits until one of `fences` signals. `timeoutTicks: 0` asks and does not sleep. Linux: `dma_fence_wait_any_timeout()`.
 * @throws DmaBufError `EINVAL`, with a finding, for no fences or a negative timeout; `ENOMEM`; `ERESTARTSYS`.
 * @example
 * const { index } = yield* waitAny(env, [left, right], { timeoutTicks: 10 });
 */
export function* waitAny(
  env: Env,
  fences: readonly DmaFence[],
  { interruptible = false, timeoutTicks = Infinity }: WaitOptions = {},
): Op<AnyResult> {
  if (fences.length === 0 || timeoutTicks < 0)
    env.refuse(
      "EINVAL",
      fenceRows.waitAny,
      "importer",
      `${fences.length} fences, ${timeoutTicks} ticks: give at least one fence`,
    );
  yield* point("fence.wait-any");
  if (timeoutTicks > 0) env.alloc(fenceRows.waitAny);
  const signalled = (): number => fences.findIndex((f) => f.signaledFlag);
  for (const fence of fences) if (timeoutTicks === 0 ? fence.signaled : enabled(fence)) break;
  if (signalled() >= 0) return { left: timeoutTicks || 1, index: signalled() };
  if (timeoutTicks === 0) return { left: 0, index: -1 };
  const task = env.scheduler.current;
  const interrupted = (): boolean => interruptible && (task?.signalPending ?? false);
  const deadline = env.scheduler.now + timeoutTicks;
  const who = (): string => `one of ${fences.map((f) => f.describe()).join(", ")}`;
  // A callback on each: that somebody waits shows where a fence is released.
  const callback = { run() {} };
  for (const fence of fences) fence.addCallback(callback);
  try {
    yield* until("fence.wait-any", () => signalled() >= 0 || interrupted(), who, deadline);
  } finally {
    for (const fence of fences) fence.removeCallback(callback);
  }
  const index = signalled();
  if (index >= 0) return { left: Math.max(1, deadline - env.scheduler.now), index };
  if (interrupted()) throw env.error("ERESTARTSYS", fenceRows.waitAny, "a signal is pending: start the call again");
  return { left: 0, index };
}

/**
 * The later of two fences of one context, borrowed; `null` when it has signalled. Other contexts are a finding.
 * @example
 * const ring = new Timeline(env, "ring");
 * const [a, b] = [ring.submit(), ring.submit()];
 * laterFence(a, b) === b; // true
 */
export function laterFence(a: DmaFence, b: DmaFence): DmaFence | null {
  if (a.context !== b.context) {
    a.env.report("warn", fenceRows.later, "importer", `contexts ${a.context} and ${b.context} differ`);
    return null;
  }
  const later = a.isLater(b) ? a : b;
  return later.signaled ? null : later;
}

function enabled(fence: DmaFence): boolean {
  fence.enableSignaling();
  return fence.signaled;
}
