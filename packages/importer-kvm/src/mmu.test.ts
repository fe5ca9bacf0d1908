import { explore, type Op, point, Scheduler } from "@dma-buf/core";
import fc from "fast-check";
import { expect, it } from "vitest";
import { type GfnRange, MmuInvalidate } from "./mmu.js";
import { RwLock } from "./rw-lock.js";

const whole = (): MmuInvalidate => new MmuInvalidate({ sequence: true, inProgress: true });

const step = fc.oneof(
  fc.record({ do: fc.constant("begin" as const), start: fc.nat(20), pages: fc.integer({ min: 1, max: 6 }) }),
  fc.record({ do: fc.constant("end" as const) }),
);

it("law: a fault retries exactly if an invalidate ended since it looked, or one around its frame is under way", () => {
  const law = fc.property(
    fc.array(step, { maxLength: 12 }),
    fc.array(step, { maxLength: 12 }),
    fc.nat(26),
    (before, after, gfn) => {
      const mmu = whole();
      let open: GfnRange[] = [];
      let [under, ends] = [0, 0];
      const play = (steps: typeof before): void => {
        for (const one of steps) {
          if (one.do === "begin") {
            const range = { start: one.start, end: one.start + one.pages };
            mmu.begin(range);
            under++;
            open = under === 1 ? [range] : [...open, range];
          } else if (under > 0) {
            mmu.end();
            under--;
            ends++;
          }
        }
      };
      play(before);
      const [sequence, since] = [mmu.sequence, ends];
      play(after);
      // One range is kept around all, until none is under way.
      const isIn =
        under > 0 && Math.min(...open.map((r) => r.start)) <= gfn && gfn < Math.max(...open.map((r) => r.end));
      expect(mmu.mustRetry(sequence, gfn)).toBe(isIn || ends !== since);
    },
  );
  fc.assert(law);
});

it("after the end nobody who looked before installs, anywhere", () => {
  const mmu = whole();
  const { sequence } = mmu;
  mmu.begin({ start: 0, end: 1 });
  mmu.end();
  expect([mmu.mustRetry(sequence, 99), mmu.mustRetry(mmu.sequence, 0)]).toEqual([true, false]);
});

it("who must retry sleeps until the invalidate is over", () => {
  const mmu = whole();
  const scheduler = new Scheduler();
  mmu.begin({ start: 4, end: 5 });
  const task = scheduler.spawn("fault", mmu.settled(4));
  expect(scheduler.complete("other", mmu.settled(5))).toBeUndefined();
  expect(task.state).toBe("ended");
});

/** Who is inside at once, at most, and who was with a writer. */
function shared(scheduler: Scheduler): { readonly readers: number; readonly withWriter: number } {
  const lock = new RwLock("kvm.mmu_lock");
  const inside: string[] = [];
  let [readers, withWriter] = [0, 0];
  const holding = function* (kind: "read" | "write"): Op<void> {
    using _held = yield* lock[kind](kind);
    inside.push(kind);
    readers = Math.max(readers, inside.length);
    withWriter += Number(inside.includes("write") && inside.length > 1);
    yield* point("inside");
    inside.splice(inside.indexOf(kind), 1);
  };
  for (const kind of ["read", "read", "write"] as const) scheduler.spawn(kind, holding(kind));
  expect(scheduler.run()).toEqual({ kind: "done" });
  return { readers, withWriter };
}

it("readers share, a writer is alone, in every order", () => {
  expect(explore(shared, { badness: (r) => r.withWriter }).worst.result.withWriter).toBe(0);
  const most = explore(shared, { badness: (r) => r.readers });
  expect([most.kind, most.worst.result.readers]).toEqual(["exhausted", 2]);
});

it("who waits for ever is named with the holder", () => {
  const lock = new RwLock("kvm.mmu_lock");
  const scheduler = new Scheduler();
  scheduler.spawn(
    "twice",
    (function* (): Op<void> {
      const held = yield* lock.write("first");
      yield* lock.write("second");
      held[Symbol.dispose]();
    })(),
  );
  expect(scheduler.run()).toMatchObject({
    kind: "deadlock",
    waits: [{ blockedOn: "kvm.mmu_lock, held by first, wanted by second" }],
  });
});
