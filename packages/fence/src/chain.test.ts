/** The cases of the kernel's `dma-buf-fence-chain` suite, under their names; its races as orders of the scheduler. */
import { errnoOf } from "@dma-buf/config/refusal";
import { type DmaFence, explore, Env, DmaFence as Fence, type Op, point } from "@dma-buf/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { chainNode, chainWalk, createFenceChain, findSeqno } from "./chain.js";
import { world } from "./testing.js";

function chains(count: number, seqno: (i: number) => number = (i) => i + 1) {
  const w = world();
  const fences = Array.from({ length: count }, () => w.fence());
  const nodes: DmaFence[] = [];
  for (const [i, fence] of fences.entries())
    nodes.push(createFenceChain(w.env, nodes[i - 1]?.get() ?? null, fence.get(), seqno(i)));
  const tail = nodes[count - 1] as DmaFence;
  return { ...w, fences, nodes, tail };
}

describe("dma-buf-fence-chain", () => {
  it("test_sanitycheck", () => {
    const { nodes, fences } = chains(1);
    expect([nodes[0]?.seqno, nodes[0]?.isContainer, chainNode(nodes[0] as DmaFence)?.fence]).toEqual([
      1,
      true,
      fences[0],
    ]);
  });

  it("test_find_seqno", () => {
    const { nodes, tail } = chains(64);
    expect(findSeqno(tail, 0)).toBe(tail);
    for (const [i, node] of nodes.entries()) {
      expect(findSeqno(tail, i + 1)).toBe(node);
      expect(findSeqno(node, i + 1)).toBe(node);
      expect(errnoOf(() => findSeqno(node, i + 2))).toBe("EINVAL");
      if (i > 0) expect(findSeqno(node, i)).toBe(nodes[i - 1]);
    }
  });

  it("test_find_signaled", () => {
    const { nodes, fences, tail } = chains(2);
    fences[0]?.signal();
    expect([null, nodes[0]]).toContain(findSeqno(tail, 1));
  });

  it("test_find_out_of_order", () => {
    const { nodes, fences, tail } = chains(3);
    fences[1]?.signal();
    const found = findSeqno(tail, 2);
    expect([found, found?.signaled]).toEqual([nodes[0], false]);
  });

  it("test_find_gap", () => {
    const { nodes, tail } = chains(64, (i) => 2 * i + 2);
    for (const [i, node] of nodes.entries()) {
      expect(findSeqno(tail, 2 * i + 1)).toBe(node);
      expect(findSeqno(tail, 2 * i + 2)).toBe(node);
    }
  });

  it("test_find_race", () => {
    const found = explore(
      (scheduler) => {
        const env = new Env(scheduler, { trace: false });
        const mock = { driverName: () => "mock", timelineName: () => "mock" };
        const fences = [1, 2, 3].map((i) => new Fence(env, mock, i, 1));
        const nodes: DmaFence[] = [];
        for (const [i, fence] of fences.entries())
          nodes.push(createFenceChain(env, nodes[i - 1] ?? null, fence, i + 1));
        let wrong = false;
        scheduler.spawn(
          "signal",
          each(fences, (fence) => fence.signal()),
        );
        scheduler.spawn(
          "find",
          each([3, 1, 2], (point_) => {
            const node = findSeqno(nodes[2] as DmaFence, point_);
            wrong ||= node !== null && node.seqno > point_;
            wrong ||= node === null && !fences.slice(0, point_).every((f) => f.signaled);
          }),
        );
        scheduler.run();
        return wrong;
      },
      { badness: Number },
    );
    // Two tasks of four steps each: 8! / (4! 4!) = 70 orders.
    expect(found).toMatchObject({ kind: "exhausted", explored: 70, worst: { result: false } });
  });

  it("test_signal_forward", () => {
    const { fences, nodes } = chains(64);
    for (const [i, fence] of fences.entries()) {
      fence.signal();
      expect([nodes[i]?.signaled, nodes[i + 1]?.signaled ?? false]).toEqual([true, false]);
    }
  });

  it("test_signal_backward", () => {
    const { fences, nodes } = chains(64);
    for (const fence of fences.slice(1).toReversed()) {
      fence.signal();
      expect(nodes.some((n) => n.signaled)).toBe(false);
    }
    fences[0]?.signal();
    expect(nodes.every((n) => n.signaled)).toBe(true);
  });

  it.each([
    ["test_wait_forward", (list: DmaFence[]) => list],
    ["test_wait_backward", (list: DmaFence[]) => list.toReversed()],
    [
      "test_wait_random",
      (list: DmaFence[]) => list.toSorted((a, b) => ((a.context * 7919) % 4099) - ((b.context * 7919) % 4099)),
    ],
  ])("%s", (_name, order) => {
    const { fences, tail, scheduler } = chains(4096);
    const waiter = scheduler.spawn("waiter", tail.wait());
    let early = 0;
    scheduler.spawn(
      "signal",
      (function* (): Op<void> {
        yield { site: "later", ready: () => false, deadline: 1 };
        for (const fence of order(fences)) {
          if (waiter.state === "done") early++;
          fence.signal();
        }
      })(),
    );
    expect([scheduler.run().kind, waiter.state, early]).toEqual(["done", "done", 0]);
  });
});

function* each<T>(list: readonly T[], act: (item: T) => void): Op<void> {
  for (const item of list) {
    yield* point("step");
    act(item);
  }
}

it("goes on in the context of a chain when later, else begins a new one that is no earlier", () => {
  const { env, nodes, fence, tail } = chains(3);
  const again = createFenceChain(env, tail.get(), fence(), 2);
  expect([nodes[1]?.context === tail.context, again.context === tail.context, again.seqno]).toEqual([true, false, 3]);
  expect(chainNode(again)?.prevSeqno).toBe(0);
  createFenceChain(env, null, again, 1);
  expect(env.findings.map((f) => f.requirement)).toEqual(["fence/dma_fence_chain_init"]);
});

it("a node of 4096 gives everything back, links that signalled as they are walked", () => {
  const { fences, nodes, tail } = chains(4096);
  for (const node of nodes.slice(0, -1)) node.put();
  for (const fence of fences.slice(0, 4000)) fence.signal();
  let walked = 0;
  for (let at: DmaFence | null = tail; at; at = chainWalk(at)) walked++;
  expect(walked).toBe(96);
  tail.put();
  expect(fences.every((f) => f.refs === 1)).toBe(true);
});

it("findSeqno is what a search over all points says", () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 }),
      fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }),
      fc.integer({ min: 1, max: 40 }),
      (unsorted, done, asked) => {
        const seqnos = unsorted.toSorted((a, b) => a - b);
        const { fences, nodes, tail } = chains(seqnos.length, (i) => seqnos[i] as number);
        for (const [i, fence] of fences.entries()) if (done[i]) fence.signal();
        if (asked > tail.seqno) {
          expect(errnoOf(() => findSeqno(tail, asked))).toBe("EINVAL");
          return;
        }
        // All up to the first point at or after the one asked for must be done; the newest that is not stands for them.
        const upTo = seqnos.findIndex((s) => s >= asked);
        const open = fences.slice(0, upTo + 1).findLastIndex((f) => !f.signaled);
        const expected = nodes[upTo] === tail ? tail : (nodes[open] ?? null);
        expect(findSeqno(tail, asked)).toBe(expected);
      },
    ),
  );
});
