/** The cases of the kernel's `dma-buf-fence` and `dma-buf-resv` suites, under their names. */
import { errnoOf } from "@dma-buf/config/refusal";
import { DmaFence, DmaResv, Env, explore, type Op, point, type ResvGuard, Usage } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { stubFence } from "./stub.js";
import { sleepUntil, world } from "./testing.js";

describe("dma-buf-fence", () => {
  it("test_sanitycheck", () => {
    const fence = world().fence();
    fence.enableSignaling();
    fence.signal();
    fence.put();
    expect([fence.signaled, fence.refs]).toEqual([true, 0]);
  });

  it("test_signaling", () => {
    const fence = world().fence();
    fence.enableSignaling();
    expect(fence.signaled).toBe(false);
    expect(fence.checkAndSignal()).toBe(false);
    expect([fence.signaled, fence.signaledFlag, fence.ops, fence.checkAndSignal()]).toEqual([true, true, null, true]);
  });

  it("test_add_callback", () => {
    const fence = world().fence();
    let ran = 0;
    fence.addCallback({ run: () => void ran++ });
    fence.signal();
    expect(ran).toBe(1);
  });

  it("test_late_add_callback", () => {
    const fence = world().fence();
    let ran = 0;
    fence.signal();
    expect(errnoOf(() => fence.addCallback({ run: () => void ran++ }))).toBe("ENOENT");
    fence.signal();
    expect(ran).toBe(0);
  });

  it("test_rm_callback", () => {
    const fence = world().fence();
    let ran = 0;
    const callback = { run: () => void ran++ };
    fence.addCallback(callback);
    expect(fence.removeCallback(callback)).toBe(true);
    fence.signal();
    expect(ran).toBe(0);
  });

  it("test_late_rm_callback", () => {
    const fence = world().fence();
    let ran = 0;
    const callback = { run: () => void ran++ };
    fence.addCallback(callback);
    fence.signal();
    expect([fence.removeCallback(callback), ran]).toEqual([false, 1]);
  });

  it("test_status", () => {
    const fence = world().fence();
    const before = fence.status;
    fence.signal();
    expect([before, fence.status]).toEqual([0, 1]);
  });

  it("test_error", () => {
    const fence = world().fence();
    fence.setError(-5);
    const before = fence.status;
    fence.signal();
    expect([before, fence.status]).toEqual([0, -5]);
  });

  it("test_wait", () => {
    const { fence: make, complete } = world();
    const fence = make();
    const before = complete(fence.wait({ timeoutTicks: 0 }));
    fence.signal();
    expect([before, complete(fence.wait({ timeoutTicks: 0 }))]).toEqual([0, 1]);
  });

  it("test_wait_timeout", () => {
    const { fence: make, complete, scheduler } = world();
    const fence = make();
    expect(complete(fence.wait({ timeoutTicks: 1 }))).toBe(0);
    scheduler.spawn(
      "timer",
      (function* (): Op<void> {
        yield* sleepUntil(2);
        fence.signal();
      })(),
    );
    expect(complete(fence.wait({ timeoutTicks: 250 }))).toBeGreaterThan(0);
  });

  it("test_stub", () => {
    const { env } = world();
    const stubs = Array.from({ length: 64 }, () => stubFence(env));
    expect(stubs.every((s) => s.signaled && s === stubs[0] && s.context === 0 && s.seqno === 0)).toBe(true);
    expect(stubFence(world().env)).not.toBe(stubs[0]);
  });

  it.each([
    ["before", true],
    ["after", false],
  ])("test_race_signal_callback: callback added %s the signal is begun, in every order", (_name, before) => {
    const found = explore(
      (scheduler) => {
        const fence = new DmaFence(new Env(scheduler), { driverName: () => "mock", timelineName: () => "mock" }, 1, 1);
        let seen = false;
        const look = (): void => {
          if (errnoOf(() => fence.addCallback({ run: () => void (seen = true) })) === "ENOENT") seen = true;
        };
        scheduler.spawn(
          "signal",
          (function* (): Op<void> {
            yield* point("begin");
            if (before) yield* point("let it add");
            fence.signal();
          })(),
        );
        scheduler.spawn(
          "add",
          (function* (): Op<void> {
            yield* point("begin");
            look();
            yield* fence.wait();
          })(),
        );
        return scheduler.run().kind === "done" && seen;
      },
      { badness: (ok) => Number(!ok) },
    );
    expect(found).toMatchObject({ kind: "exhausted", worst: { result: true } });
  });
});

describe.each(Object.entries(Usage))("dma-buf-resv: %s", (_name, usage) => {
  function locked() {
    const w = world();
    const resv = new DmaResv("R", w.env);
    const held = resv.tryLock() as ResvGuard;
    resv.reserveFences(held, 1);
    const fence = w.fence();
    return { ...w, resv, held, fence };
  }

  it("test_sanitycheck", () => {
    const { fence } = locked();
    fence.enableSignaling();
    fence.signal();
    fence.put();
    expect(fence.refs).toBe(0);
  });

  it("test_signaling", () => {
    const { resv, held, fence } = locked();
    resv.addFence(held, fence, usage);
    const before = resv.testSignaled(usage);
    fence.signal();
    expect([before, resv.testSignaled(usage)]).toEqual([false, true]);
  });

  it("test_for_each", () => {
    const { resv, held, fence } = locked();
    resv.addFence(held, fence, usage);
    expect(resv.forEach(held, usage)).toEqual([{ fence, usage }]);
  });

  it("test_for_each_unlocked", () => {
    const { resv, held, fence } = locked();
    resv.addFence(held, fence, usage);
    held[Symbol.dispose]();
    const cursor = resv.forEachUnlocked(usage);
    const hits: unknown[] = [];
    for (let slot = cursor.next(); slot; slot = cursor.next()) {
      hits.push([slot, cursor.restarted]);
      // Another task makes the list anew between two steps, once.
      using again = hits.length === 1 ? resv.tryLock() : null;
      if (again) resv.reserveFences(again, 100);
    }
    expect(hits).toEqual([
      [{ fence, usage }, true],
      [{ fence, usage }, true],
    ]);
  });

  it("test_get_fences", () => {
    const { resv, held, fence } = locked();
    resv.addFence(held, fence, usage);
    expect([resv.getFences(usage), fence.refs]).toEqual([[fence], 3]);
  });
});
