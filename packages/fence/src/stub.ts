/** Fences that are done. */
import { DmaFence, type DmaFenceOps, type Env } from "@dma-buf/core";

const ops: DmaFenceOps = { driverName: () => "stub", timelineName: () => "stub" };

// One a world, not one a process: what belongs to an Env is found by it, and goes with it.
const stubs = new WeakMap<Env, DmaFence>();

/**
 * The one signalled fence of `env`, context 0, seqno 0, with a reference. Linux: `dma_fence_get_stub()`.
 * @example
 * stubFence(env).status; // 1
 */
export function stubFence(env: Env): DmaFence {
  const known = stubs.get(env);
  if (known) return known.get();
  const stub = signalled(env, 0, 0, 0);
  stubs.set(env, stub);
  return stub.get();
}

/**
 * A signalled fence of its own, with a timestamp in modelled ticks. Linux: `dma_fence_allocate_private_stub()`.
 * @example
 * privateStub(env).signaled; // true
 */
export function privateStub(env: Env, timestamp: number): DmaFence {
  return signalled(env, 0, 0, timestamp);
}

function signalled(env: Env, context: number, seqno: number, timestamp: number): DmaFence {
  const fence = new DmaFence(env, ops, context, seqno);
  fence.signal(timestamp);
  return fence;
}
