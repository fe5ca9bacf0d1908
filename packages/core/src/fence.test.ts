import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Env } from "./env.js";
import { DmaFence, type DmaFenceOps } from "./fence.js";
import { Scheduler } from "./scheduler.js";
import { linux73 } from "./contracts/linux-7.3.js";
import { kit, mock } from "./testing.js";

const make = (ops: Partial<DmaFenceOps> = {}, seqno = 1, wide = false) =>
  new DmaFence(new Env(new Scheduler()), { ...mock, ...ops }, 1, seqno, wide);

describe("signalling", () => {
  it("is enabled once, at the first interest; false means done", () => {
    let asked = 0;
    const fence = make({ enableSignaling: () => (asked++, true) });
    for (const _ of [1, 2]) fence.addCallback({ run() {} });
    expect([asked, fence.signaledFlag]).toEqual([1, false]);
    const done = make({ enableSignaling: () => false });
    expect(() => done.addCallback({ run() {} })).toThrow(/ENOENT/);
  });

  it("polling the issuer signals", () => {
    let done = false;
    const fence = make({ signaled: () => done });
    expect(fence.signaled).toBe(false);
    done = true;
    expect([fence.signaledFlag, fence.signaled, fence.signaledFlag]).toEqual([false, true, true]);
  });

  it("detaches from an issuer that has no release; names then say so", () => {
    const [plain, kept] = [make(), make({ release() {} })];
    for (const fence of [plain, kept]) fence.signal(42);
    expect([plain.ops, plain.driverName, plain.timelineName, kept.driverName]).toEqual([
      null,
      "detached-driver",
      "signaled-timeline",
      "mock",
    ]);
    expect([plain.timestamp, plain.describe()]).toEqual([42, "1:1 signalled"]);
  });

  it("runs callbacks first in, first out, once, and never one that was taken back", () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 12 }), fc.integer({ min: 1, max: 3 }), (kept, signals) => {
        const fence = make();
        const ran: number[] = [];
        const callbacks = kept.map((_, i) => ({ run: () => void ran.push(i) }));
        for (const callback of callbacks) fence.addCallback(callback);
        for (const [i, keep] of kept.entries())
          if (!keep) expect(fence.removeCallback(callbacks[i] as never)).toBe(true);
        for (let i = 0; i < signals; i++) expect(fence.checkAndSignal()).toBe(i > 0);
        expect(ran).toEqual(kept.flatMap((keep, i) => (keep ? [i] : [])));
        for (const callback of callbacks) expect(fence.removeCallback(callback)).toBe(false);
      }),
    );
  });
});

describe("order of one context", () => {
  it.each([
    [2, 1, false, true],
    [1, 2, false, false],
    [0, 0xffffffff, false, true],
    [0, 0xffffffff, true, false],
    [2 ** 33, 1, true, true],
  ])("%i is later than %i, 64 bits %s: %s", (a, b, wide, expected) => {
    expect(make({}, a, wide).isLater(make({}, b, wide))).toBe(expected);
  });
});

describe("wait", () => {
  const wait = (fence: DmaFence, timeoutTicks?: number) =>
    fence.env.scheduler.complete("w", fence.wait(timeoutTicks === undefined ? {} : { timeoutTicks }));
  it("0 asks, and does not sleep", () => {
    const fence = make();
    expect(wait(fence, 0)).toBe(0);
    fence.signal();
    expect([wait(fence, 0), wait(fence, 9)]).toEqual([1, 9]);
  });
  it("time passes only when nobody can run", () => {
    const fence = make();
    expect([wait(fence, 25), fence.env.scheduler.now]).toEqual([0, 25]);
  });
  it("for ever, and nobody signals: a deadlock that names the fence", () => {
    expect(() => wait(make())).toThrow(/waits at fence.wait for 1:1 mock mock unsignalled/);
  });
});

it("a deadline goes to the issuer while it is not signalled", () => {
  const hints: number[] = [];
  const fence = make({ setDeadline: (_f, at) => void hints.push(at) });
  fence.setDeadline(5);
  fence.signal();
  fence.setDeadline(6);
  expect(hints).toEqual([5]);
});

it("a callback that throws keeps no other from running, and the fence is signalled", () => {
  const k = kit(linux73);
  const { env } = k;
  const fence = k.fence();
  const ran: string[] = [];
  fence.addCallback({
    run() {
      throw new Error("mine");
    },
  });
  fence.addCallback({ run: () => void ran.push("second") });
  expect(() => fence.signal()).toThrow("mine");
  fence.signal();
  expect([ran, fence.status, fence.removeCallback({ run() {} }), env.findings]).toEqual([["second"], 1, false, []]);
});
