/** A fence that stands for several. Linux: `struct dma_fence_array`. */
import { DmaFence, type DmaFenceOps, type Env } from "@dma-buf/core";
import { fenceRows } from "./rows.js";

/** What an array's operations carry besides the names: the way to find the members again. */
interface ArrayOps extends DmaFenceOps {
  readonly members: readonly DmaFence[];
}

/** Where an array stands. */
export interface ArrayOptions {
  /** @defaultValue a fresh one */
  readonly context?: number;
  /** @defaultValue 1 */
  readonly seqno?: number;
}

/**
 * Signals when all of `fences` did; fails with the error of the first that failed. Owns the references it is given:
 * the last `put` of the array puts them. An empty one, and a member that is a container, are findings.
 * @example
 * const both = createFenceArray(env, [copy.get(), clear.get()]);
 * copy.signal();
 * clear.signal();
 * yield* both.wait();
 */
export function createFenceArray(env: Env, fences: readonly DmaFence[], options: ArrayOptions = {}): DmaFence {
  if (fences.length === 0) env.report("warn", fenceRows.createArray, "importer", "an array without members");
  if (fences.some((f) => f.isContainer))
    env.report("warn", fenceRows.createArray, "importer", "a member is a container");
  let armed = false;
  const ops: ArrayOps = {
    isContainer: true,
    members: fences,
    driverName: () => "dma_fence_array",
    timelineName: () => "unbound",
    enableSignaling(array) {
      armed = true;
      return arm(array, fences);
    },
    // Once somebody waits, the members' callbacks decide; before, whoever asks counts them.
    signaled(array) {
      if (armed || !fences.every((f) => f.signaled)) return false;
      takeError(array, fences);
      return true;
    },
    setDeadline: (_array, at) => fences.forEach((f) => f.setDeadline(at)),
    release: () => fences.forEach((f) => f.put()),
  };
  return new DmaFence(env, ops, options.context ?? env.allocContexts(1), options.seqno ?? 1);
}

/**
 * The members of an array, borrowed; `null` for any other fence. Linux: `dma_fence_array_for_each()`.
 * @example
 * arrayMembers(createFenceArray(env, [first.get(), second.get()])).length; // 2
 */
export function arrayMembers(fence: DmaFence): readonly DmaFence[] | null {
  return (fence.ops as Partial<ArrayOps> | null)?.members ?? null;
}

/** `false`: all are done already, and the core signals. Until the members are done, the array holds itself. */
function arm(array: DmaFence, fences: readonly DmaFence[]): boolean {
  const open = new Set(fences.filter((f) => !f.signaled));
  // One member may be listed twice, and one may signal while the next is armed.
  let left = open.size;
  let failed = takeError(array, fences);
  const fail = (member: DmaFence): void => {
    if (!failed) failed = takeError(array, [member]);
  };
  const done = (member: DmaFence): void => {
    fail(member);
    if (--left > 0) return;
    try {
      array.signal();
    } finally {
      array.put();
    }
  };
  for (const fence of open) {
    fence.enableSignaling();
    if (!fence.signaledFlag) fence.addCallback({ run: done });
    else {
      fail(fence);
      left--;
    }
  }
  if (left > 0) array.get();
  return left > 0;
}

/** Takes the error of the first of `fences` that failed, if one did. */
function takeError(array: DmaFence, fences: readonly DmaFence[]): boolean {
  const failed = fences.find((f) => f.signaledFlag && f.status < 0);
  if (failed) array.setError(failed.status);
  return failed !== undefined;
}
