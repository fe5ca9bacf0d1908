/** Points of a timeline, each a fence and all that came before. Linux: `struct dma_fence_chain`. */
import { DmaFence, type DmaFenceOps, type Env } from "@dma-buf/core";
import { fenceRows } from "./rows.js";

/** What a node is, besides a fence. */
export interface ChainNode {
  /** The node's own. */
  readonly fence: DmaFence;
  /** The node before; links to what has signalled are cut as they are walked. */
  prev: DmaFence | null;
  /** The seqno of the node before, of the same context; 0 for the first of a context. */
  readonly prevSeqno: number;
}

interface ChainOps extends DmaFenceOps {
  readonly node: ChainNode;
}

/**
 * A node after `prev`. Takes both references. Of the context of `prev` if that is a chain and `seqno` is later;
 * otherwise of a fresh one, with a seqno that is no smaller than that of `prev`. A contained chain is a finding.
 * @example
 * const one = createFenceChain(env, null, first, 1);
 * const two = createFenceChain(env, one, second, 2);
 * first.signal();
 * two.signaled; // false
 */
export function createFenceChain(env: Env, prev: DmaFence | null, fence: DmaFence, seqno: number): DmaFence {
  if (chainNode(fence)) env.report("warn", fenceRows.createChain, "importer", `${fence.describe()} is a chain itself`);
  const before = prev && chainNode(prev) ? prev : null;
  const goesOn = before !== null && seqno > before.seqno;
  const node: ChainNode = { fence, prev, prevSeqno: goesOn ? before.seqno : 0 };
  const ops: ChainOps = {
    isContainer: true,
    node,
    driverName: () => "dma_fence_chain",
    timelineName: () => "unbound",
    enableSignaling: arm,
    signaled: (chain) => firstOpen(chain) === null,
    setDeadline(chain, at) {
      for (const { fence: own } of nodes(chain)) own.setDeadline(at);
    },
    release() {
      node.fence.put();
      putChain(node.prev);
    },
  };
  const context = goesOn ? before.context : env.allocContexts(1);
  return new DmaFence(env, ops, context, goesOn || !before ? seqno : Math.max(before.seqno, seqno), true);
}

/**
 * The node of a chain, borrowed; `null` for any other fence. Linux: `to_dma_fence_chain()`.
 * @example
 * chainNode(createFenceChain(env, null, first, 1))?.fence === first; // true
 */
export function chainNode(fence: DmaFence): ChainNode | null {
  return (fence.ops as Partial<ChainOps> | null)?.node ?? null;
}

/**
 * The node before `fence` that still counts, borrowed: links to nodes that have signalled are cut on the way.
 * `null` at the end, and for what is no chain. Linux: `dma_fence_chain_walk()`.
 * @example
 * const one = createFenceChain(env, null, first, 1);
 * chainWalk(createFenceChain(env, one, second, 2)) === one; // true
 */
export function chainWalk(fence: DmaFence): DmaFence | null {
  const node = chainNode(fence);
  if (!node) return null;
  for (let prev = node.prev; prev; prev = node.prev) {
    const before = chainNode(prev);
    if (!(before ? before.fence.signaled : prev.signaled)) return prev;
    node.prev = before?.prev?.get() ?? null;
    prev.put();
  }
  return null;
}

/**
 * The node that must signal for point `seqno`, borrowed; `null`: all of it has signalled. 0 gives the fence itself.
 * @throws DmaBufError `EINVAL` for what is no chain, and for a point that is not there yet.
 * @example
 * const one = createFenceChain(env, null, first, 1);
 * const two = createFenceChain(env, one, second, 2);
 * findSeqno(two, 1) === one; // true
 */
export function findSeqno(fence: DmaFence, seqno: number): DmaFence | null {
  if (seqno === 0) return fence;
  if (!chainNode(fence) || fence.seqno < seqno)
    throw fence.env.error(
      "EINVAL",
      fenceRows.findSeqno,
      `point ${seqno} is after ${fence.describe()}: submit it first`,
    );
  for (let at: DmaFence | null = fence; at; at = chainWalk(at)) {
    const node = chainNode(at);
    if (at.context !== fence.context || !node || node.prevSeqno < seqno) return at;
  }
  return null;
}

/** The nodes of a chain with their fences, newest first; a last link that is no chain counts as a node. */
export function* nodes(chain: DmaFence): Generator<{ readonly fence: DmaFence }, void, void> {
  for (let at: DmaFence | null = chain; at; at = chainWalk(at)) yield chainNode(at) ?? { fence: at };
}

/** The first fence that is not done, newest first. */
function firstOpen(chain: DmaFence): DmaFence | null {
  for (const { fence } of nodes(chain)) if (!fence.signaled) return fence;
  return null;
}

/** Waits on one open fence after the other: when one signals, the next is looked for. Until then the chain holds itself. */
function arm(chain: DmaFence): boolean {
  for (let open = firstOpen(chain); open; open = firstOpen(chain)) {
    open.enableSignaling();
    if (open.signaledFlag) continue;
    chain.get();
    open.addCallback({
      run() {
        try {
          if (!arm(chain)) chain.signal();
        } finally {
          chain.put();
        }
      },
    });
    return true;
  }
  return false;
}

/** A chain can be long: nodes that nobody else holds are put one after the other, not one inside the other. */
function putChain(prev: DmaFence | null): void {
  let at = prev;
  for (let node = at && chainNode(at); at?.refs === 1 && node; node = at && chainNode(at)) {
    const last: DmaFence = at;
    at = node.prev;
    node.prev = null;
    last.put();
  }
  at?.put();
}
