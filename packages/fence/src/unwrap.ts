/** Looking through containers, and putting fences together. Linux: `dma-fence-unwrap.c`. */
import { type DmaFence, type Env } from "@dma-buf/core";
import { arrayMembers, createFenceArray } from "./array.js";
import { nodes } from "./chain.js";
import { fenceRows } from "./rows.js";
import { privateStub } from "./stub.js";

/**
 * The fences that are no containers, borrowed: a chain's nodes newest first, in each an array's members. Members that
 * have signalled are shown; chain links that have are not.
 * @example
 * for (const fence of leaves(container)) fence.setDeadline(100);
 */
export function* leaves(container: DmaFence): Generator<DmaFence, void, void> {
  for (const { fence } of nodes(container)) yield* arrayMembers(fence) ?? [fence];
}

/**
 * One of each context, the newest, in the order of contexts. Leaves the references alone.
 * Linux: `dma_fence_dedup_array()`, which also puts those it drops.
 * @example
 * dedupFences([second, first, first]).length; // 2
 */
export function dedupFences(fences: readonly DmaFence[]): DmaFence[] {
  const newest = new Map<number, DmaFence>();
  for (const fence of fences) {
    const known = newest.get(fence.context);
    if (!known || fence.isLater(known)) newest.set(fence.context, fence);
  }
  return [...newest.values()].toSorted((a, b) => a.context - b.context);
}

/**
 * One fence for all of `fences`, with a reference of its own: a stub if all is done, a fence as it is if only one is
 * left, else an array of the newest of each context. @throws DmaBufError `ENOMEM`
 * @example
 * const all = mergeFences(env, [render, copy]);
 */
export function mergeFences(env: Env, fences: readonly DmaFence[]): DmaFence {
  const all = fences.flatMap((f) => [...leaves(f)]);
  const open = dedupFences(all.filter((f) => !f.signaled));
  const [first] = open;
  if (!first) return privateStub(env, Math.max(0, ...all.map((f) => f.timestamp)));
  if (open.length === 1) return first.get();
  env.alloc(fenceRows.merge);
  return createFenceArray(
    env,
    open.map((f) => f.get()),
  );
}
