/** The cases of the kernel's `dma-buf-fence-unwrap` suite, under their names, and laws of merging. */
import type { DmaFence } from "@dma-buf/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createFenceArray } from "./array.js";
import { createFenceChain } from "./chain.js";
import { privateStub, stubFence } from "./stub.js";
import { world } from "./testing.js";
import { leaves, mergeFences } from "./unwrap.js";

const two = () => {
  const w = world();
  return { ...w, f1: w.fence(), f2: w.fence() };
};

describe("dma-buf-fence-unwrap", () => {
  it("test_sanitycheck", () => {
    const { env, f1 } = two();
    const chain = createFenceChain(env, null, createFenceArray(env, [f1]), 1);
    expect([...leaves(chain)]).toEqual([f1]);
  });

  it("test_unwrap_array", () => {
    const { env, f1, f2 } = two();
    expect([...leaves(createFenceArray(env, [f1, f2]))]).toEqual([f1, f2]);
  });

  it("test_unwrap_chain", () => {
    const { env, f1, f2 } = two();
    expect(new Set(leaves(createFenceChain(env, f1, f2, 1)))).toEqual(new Set([f1, f2]));
  });

  it("test_unwrap_chain_array", () => {
    const { env, f1, f2 } = two();
    expect([...leaves(createFenceChain(env, null, createFenceArray(env, [f1, f2]), 1))]).toEqual([f1, f2]);
  });

  it("test_unwrap_merge", () => {
    const { env, f1, f2 } = two();
    expect([...leaves(mergeFences(env, [f1, f2]))]).toEqual([f1, f2]);
  });

  it("test_unwrap_merge_duplicate", () => {
    const { env, f1 } = two();
    expect([...leaves(mergeFences(env, [f1, f1]))]).toEqual([f1]);
  });

  it("test_unwrap_merge_seqno", () => {
    const { env, fence } = two();
    const context = env.allocContexts(1);
    const [f1, f2, f3] = [fence(context, 1), fence(context, 2), fence()];
    expect([...leaves(mergeFences(env, [f1, f3, f2]))]).toEqual([f2, f3]);
  });

  it("test_unwrap_merge_order", () => {
    const { env, f1, f2 } = two();
    const forward = createFenceArray(env, [f1.get(), f2.get()]);
    const backward = createFenceArray(env, [f2.get(), f1.get()]);
    expect([...leaves(mergeFences(env, [backward, forward]))]).toEqual([f1, f2]);
  });

  it("test_unwrap_merge_complex", () => {
    const { env, f1, f2 } = two();
    const inner = mergeFences(env, [f1, f2]);
    const outer = mergeFences(env, [stubFence(env), inner, f1]);
    expect([...leaves(mergeFences(env, [outer, inner, stubFence(env)]))]).toEqual([f1, f2]);
  });

  it("test_unwrap_merge_complex_seqno", () => {
    const { env, fence } = two();
    const [a, b] = [env.allocContexts(1), env.allocContexts(1)];
    const [a1, a2, b1, b2] = [fence(a, 1), fence(a, 2), fence(b, 1), fence(b, 2)];
    const left = mergeFences(env, [a1, b2]);
    const right = mergeFences(env, [a2, b1]);
    expect([...leaves(mergeFences(env, [right, left]))]).toEqual([a2, b2]);
  });
});

describe("merge", () => {
  it("of what is done: a stub with the latest timestamp", () => {
    const { env, f1, f2 } = two();
    f1.signal(7);
    f2.signal(3);
    expect(mergeFences(env, [f1, f2])).toMatchObject({ status: 1, timestamp: 7, context: 0 });
    expect(privateStub(env, 5).timestamp).toBe(5);
  });

  it("whatever the order and the nesting: the newest of each context, and once is enough", () => {
    const member = fc.record({ context: fc.integer({ min: 1, max: 4 }), seqno: fc.integer({ min: 1, max: 5 }) });
    fc.assert(
      fc.property(fc.array(member, { minLength: 1, maxLength: 8 }), fc.nat(7), (members, cut) => {
        const w = world();
        w.env.allocContexts(9);
        const fences = members.map((m) => w.fence(m.context, m.seqno));
        const shown = (fence: DmaFence) => [...leaves(fence)].map((f) => `${f.context}:${f.seqno}`);
        const newest = new Map<number, number>();
        for (const { context, seqno } of members) newest.set(context, Math.max(seqno, newest.get(context) ?? 0));
        const expected = [...newest].toSorted(([a], [b]) => a - b).map(([c, s]) => `${c}:${s}`);
        const merged = mergeFences(w.env, fences);
        const nested = [fences.slice(0, cut), fences.slice(cut)]
          .filter((l) => l.length > 0)
          .map((l) => mergeFences(w.env, l));
        expect([
          shown(merged),
          shown(mergeFences(w.env, fences.toReversed())),
          shown(mergeFences(w.env, nested)),
          shown(mergeFences(w.env, [merged])),
        ]).toEqual(Array.from({ length: 4 }, () => expected));
      }),
    );
  });
});

describe("array", () => {
  it("signals when all did, waited for or only asked, and takes the first error in the list", () => {
    for (const waited of [true, false]) {
      const { env, f1, f2 } = two();
      const array = createFenceArray(env, [f1.get(), f2.get()]);
      let ran = 0;
      if (waited) array.addCallback({ run: () => void ran++ });
      f2.setError(-5);
      f2.signal();
      expect([array.signaled, array.status]).toEqual([false, 0]);
      f1.signal();
      expect([array.status, ran]).toEqual([-5, Number(waited)]);
      array.put();
      expect([f1.refs, f2.refs]).toEqual([1, 1]);
    }
  });

  it("no members, and a member that is a container, are findings; deadlines go to all", () => {
    const { env, f1 } = two();
    createFenceArray(env, [createFenceArray(env, [f1])]);
    createFenceArray(env, []);
    expect(env.findings.map((f) => f.requirement)).toEqual(
      Array.from({ length: 2 }, () => "fence/dma_fence_array_create"),
    );
  });
});
