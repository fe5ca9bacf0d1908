import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Env } from "./env.js";
import { DmaFence } from "./fence.js";
import { BugSignal } from "./finding.js";
import { DmaResv, type ResvGuard } from "./resv.js";
import { capacityFor } from "./resv-fences.js";
import { Scheduler } from "./scheduler.js";
import { linux73 } from "./contracts/linux-7.3.js";
import { until } from "./op.js";
import { kit, mock } from "./testing.js";
import { Usage, usageRw } from "./usage.js";

const usages = [Usage.KERNEL, Usage.WRITE, Usage.READ, Usage.BOOKKEEP];

function bench() {
  const env = new Env(new Scheduler());
  const resv = new DmaResv("R", env);
  const held = resv.tryLock() as ResvGuard;
  const fence = (context = env.allocContexts(1), seqno = 1) => new DmaFence(env, mock, context, seqno);
  const slots = (usage: Usage = Usage.BOOKKEEP) =>
    resv.forEach(held, usage).map((s) => `${s.fence.context}:${s.fence.seqno}/${s.usage}`);
  return { env, resv, held, fence, slots };
}

describe("usages", () => {
  it.each(usages)("asking for %i gives that and every stronger one", (asked) => {
    const { resv, held, fence, slots } = bench();
    resv.reserveFences(held, 4);
    for (const usage of usages) resv.addFence(held, fence(), usage);
    expect(slots(asked)).toHaveLength(asked + 1);
  });

  it("a writer waits for readers too", () =>
    expect([usageRw(true), usageRw(false)]).toEqual([Usage.READ, Usage.WRITE]));
});

describe("reserve", () => {
  it.each([
    // n, used, max before: room after. 24 bytes of header, 8 a slot, in buckets of kmalloc.
    [1, 0, 0, 5],
    [4, 0, 0, 5],
    [5, 0, 0, 9],
    [9, 0, 0, 21],
    [1, 5, 5, 13],
    [20, 5, 5, 29],
  ])("%i more than %i in %i makes %i", (n, used, max, room) => expect(capacityFor(n, used, max)).toBe(room));

  it("is relative to what is used, and lost at unlock", () => {
    const { env, resv, held, fence } = bench();
    resv.reserveFences(held, 1);
    resv.reserveFences(held, 1);
    expect(resv.list?.max).toBe(5);
    resv.addFence(held, fence(), Usage.READ);
    held[Symbol.dispose]();
    expect(resv.list?.max).toBe(1);
    const again = resv.tryLock() as ResvGuard;
    expect(() => resv.addFence(again, fence(), Usage.READ)).toThrow(BugSignal);
    expect(env.findings.at(-1)).toMatchObject({ level: "bug", requirement: "sync/dma_resv_add_fence" });
  });

  it("making the list anew drops what has signalled", () => {
    const { resv, held, fence, slots } = bench();
    resv.reserveFences(held, 5);
    const done = fence();
    resv.addFence(held, done, Usage.READ);
    done.signal();
    expect(slots()).toHaveLength(1);
    resv.reserveFences(held, 40);
    expect(slots()).toHaveLength(0);
  });
});

describe("add", () => {
  it("replaces the same context when later and at least as strong, else appends", () => {
    const { resv, held, fence, slots } = bench();
    resv.reserveFences(held, 4);
    resv.addFence(held, fence(7, 1), Usage.READ);
    resv.addFence(held, fence(7, 2), Usage.WRITE);
    expect(slots()).toEqual(["7:2/1"]);
    resv.addFence(held, fence(7, 3), Usage.BOOKKEEP);
    expect(slots()).toEqual(["7:2/1", "7:3/3"]);
    resv.addFence(held, fence(7, 1), Usage.READ);
    expect(slots()).toEqual(["7:2/1", "7:3/3", "7:1/2"]);
  });

  it("promotes the same fence, never demotes it", () => {
    const { resv, held, fence, slots } = bench();
    const one = fence(7, 1);
    resv.reserveFences(held, 4);
    resv.addFence(held, one, Usage.READ);
    resv.addFence(held, one, Usage.KERNEL);
    expect(slots()).toEqual(["7:1/0"]);
    resv.addFence(held, one, Usage.READ);
    expect(slots()).toEqual(["7:1/0", "7:1/2"]);
  });

  it("takes the first signalled slot, whatever its context", () => {
    const { resv, held, fence, slots } = bench();
    resv.reserveFences(held, 4);
    const done = fence(1, 1);
    resv.addFence(held, done, Usage.KERNEL);
    resv.addFence(held, fence(2, 1), Usage.READ);
    done.signal();
    resv.addFence(held, fence(2, 2), Usage.READ);
    expect(slots()).toEqual(["2:2/2", "2:1/2"]);
    expect(done.refs).toBe(1);
  });

  it("replaces every slot of a context, with its usage", () => {
    const { resv, held, fence, slots } = bench();
    resv.reserveFences(held, 4);
    resv.addFence(held, fence(7, 1), Usage.READ);
    resv.addFence(held, fence(8, 1), Usage.READ);
    resv.replaceFences(held, 7, fence(9, 5), Usage.BOOKKEEP);
    expect(slots()).toEqual(["9:5/3", "8:1/2"]);
  });
});

describe("wait", () => {
  it("carries what is left from fence to fence; 0 asks only", () => {
    const { env, resv, held, fence } = bench();
    const { scheduler } = env;
    const [first, second] = [fence(), fence()];
    resv.reserveFences(held, 2);
    for (const f of [first, second]) resv.addFence(held, f, Usage.WRITE);
    function* timer(at: number, f: DmaFence) {
      yield { site: "timer", ready: () => false, deadline: at };
      f.signal();
    }
    scheduler.spawn("t1", timer(3, first));
    scheduler.spawn("t2", timer(8, second));
    const wait = (timeoutTicks: number) => scheduler.spawn("wait", resv.waitTimeout(Usage.READ, { timeoutTicks }));
    const [long, short, none] = [wait(10), wait(5), wait(0)];
    scheduler.run();
    expect([long.result, short.result, none.result]).toEqual([2, 0, 0]);
    expect(scheduler.complete("after", resv.waitTimeout(Usage.READ, { timeoutTicks: 0 }))).toBe(1);
  });

  it("no fences: all the time is left, at least 1", () => {
    const { env, resv } = bench();
    expect(env.scheduler.complete("w", resv.waitTimeout(Usage.BOOKKEEP, { timeoutTicks: 7 }))).toBe(7);
  });

  it("passes deadlines on, and describes up to READ as debugfs does", () => {
    const { env, resv, held } = bench();
    const hints: number[] = [];
    const fence = new DmaFence(env, { ...mock, setDeadline: (_f, at) => void hints.push(at) }, 3, 4);
    resv.reserveFences(held, 2);
    resv.addFence(held, fence, Usage.WRITE);
    resv.addFence(held, new DmaFence(env, mock, 5, 6), Usage.BOOKKEEP);
    resv.setDeadline(Usage.READ, 99);
    expect(hints).toEqual([99]);
  });
});

it("copies what is unsignalled with its usage, and gives back what was there", () => {
  const { env, resv, held, fence } = bench();
  const [done, live, old] = [fence(), fence(), fence()];
  resv.reserveFences(held, 2);
  resv.addFence(held, done, Usage.KERNEL);
  resv.addFence(held, live, Usage.READ);
  done.signal();
  const other = new DmaResv("S", env);
  const otherHeld = other.tryLock() as ResvGuard;
  other.reserveFences(otherHeld, 1);
  other.addFence(otherHeld, old, Usage.WRITE);
  other.copyFences(otherHeld, resv);
  expect([other.forEach(otherHeld, Usage.BOOKKEEP), old.refs, live.refs]).toEqual([[{ fence: live, usage: 2 }], 1, 3]);
});

it("any sequence of adds and signals: what is not signalled is never lost, and references balance", () => {
  const step = fc.oneof(
    fc.record({ add: fc.nat(2), seqno: fc.integer({ min: 1, max: 5 }), usage: fc.constantFrom(...usages) }),
    fc.record({ signal: fc.nat(30) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const { resv, held, fence, slots } = bench();
      const fences: DmaFence[] = [];
      for (const s of steps) {
        if ("signal" in s) {
          fences[s.signal]?.signal();
          continue;
        }
        const f = fence(s.add + 1, s.seqno);
        fences.push(f);
        resv.reserveFences(held, 1);
        resv.addFence(held, f, s.usage);
        // Whoever waits for this usage waits at least as long as for this fence: it, or a later one of its context.
        const covered = resv
          .forEach(held, s.usage)
          .some((slot) => slot.fence.context === f.context && slot.fence.seqno >= f.seqno);
        expect(covered).toBe(true);
      }
      expect(slots().length).toBeLessThanOrEqual(resv.list?.max ?? 0);
      resv.fini();
      expect(fences.every((f) => f.refs === 1)).toBe(true);
    }),
  );
});

it("who waits for a fence holds it: replaced meanwhile, it is released after the wait", () => {
  const k = kit(linux73);
  const buf = k.exported();
  const log: string[] = [];
  const names = { driverName: () => "mock", timelineName: () => "mock", release: () => void log.push("released") };
  const fence = new DmaFence(k.env, names, 7, 1);
  {
    using held = k.hold(buf.resv);
    buf.resv.reserveFences(held, 1);
    buf.resv.addFence(held, fence, Usage.WRITE);
    fence.put();
  }
  k.scheduler.spawn(
    "waiter",
    (function* () {
      yield* buf.resv.waitTimeout(Usage.WRITE);
      log.push("waited");
    })(),
  );
  k.scheduler.spawn(
    "evict",
    (function* () {
      yield* until("the waiter", () => fence.refs === 2);
      using held = yield* buf.resv.lock();
      buf.resv.replaceFences(held, 7, k.fence(), Usage.WRITE);
      log.push("signals");
      fence.signal();
    })(),
  );
  k.scheduler.run();
  expect(log).toEqual(["signals", "released", "waited"]);
});
