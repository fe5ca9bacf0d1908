import { type Op, point, Scheduler, StuckError } from "@dma-buf/core";
import { expect, it } from "vitest";
import { MemoryLock } from "./memory-lock.js";

function world() {
  const scheduler = new Scheduler();
  return { scheduler, lock: new MemoryLock(scheduler), log: [] as string[] };
}

function* hold(take: Op<Disposable>, log: string[], name: string): Op<void> {
  using _held = yield* take;
  log.push(`${name} in`);
  yield* point("work");
  log.push(`${name} out`);
}

it("readers read together, and a writer waits for the last of them", () => {
  const { scheduler, lock, log } = world();
  const readers = ["r1", "r2"].map((name) => scheduler.complete(name, lock.read(name)));
  scheduler.spawn("w", hold(lock.write("w"), log, "w"));
  const leave = function* (): Op<void> {
    for (const reader of readers) {
      log.push("a reader goes");
      reader[Symbol.dispose]();
      yield* point("and the next");
    }
  };
  scheduler.spawn("readers", leave());
  expect(scheduler.run().kind).toBe("done");
  expect(log).toEqual(["a reader goes", "a reader goes", "w in", "w out"]);
});

it("a reader waits for the writer, and so does a writer", () => {
  const { scheduler, lock, log } = world();
  scheduler.spawn("w1", hold(lock.write("w1"), log, "w1"));
  scheduler.spawn("r", hold(lock.read("r"), log, "r"));
  scheduler.spawn("w2", hold(lock.write("w2"), log, "w2"));
  scheduler.run();
  expect(log.slice(0, 2)).toEqual(["w1 in", "w1 out"]);
  expect(log).toHaveLength(6);
});

it("trying does not wait", () => {
  const { scheduler, lock } = world();
  const reader = scheduler.complete("r", lock.read("r"));
  expect(lock.tryWrite("w")).toBeNull();
  reader[Symbol.dispose]();
  const writer = lock.tryWrite("w");
  expect([writer === null, lock.tryWrite("again")]).toEqual([false, null]);
  writer?.[Symbol.dispose]();
  expect(lock.tryWrite("again")).not.toBeNull();
});

it("who takes it twice waits for itself, and the finding says who holds it and why", () => {
  const { scheduler, lock } = world();
  const twice = function* (): Op<void> {
    using _a = yield* lock.write("a reset");
    using _b = yield* lock.read("a fault");
  };
  expect(() => scheduler.complete("vmm", twice())).toThrow(StuckError);
  expect(() => scheduler.complete("vmm", twice())).toThrow(/vfio.memory_lock for memory_lock, held for a reset by vmm/);
});

it("a free lock is a place where others run too, before it is taken", () => {
  for (const take of ["read", "write"] as const) {
    const { lock } = world();
    const op = lock[take]("first");
    expect(op.next()).toMatchObject({ done: false, value: { site: "vfio.memory_lock", ready: null } });
    lock.tryWrite("overtakes");
    expect(op.next()).toMatchObject({ done: false, value: { blockedOn: expect.any(Function) as () => string } });
  }
});

it("a writer that gives back twice leaves the next holder's lock alone", () => {
  const { lock } = world();
  const first = lock.tryWrite("first");
  first?.[Symbol.dispose]();
  lock.tryWrite("second");
  first?.[Symbol.dispose]();
  expect(lock.tryWrite("third")).toBeNull();
});

it("a reader that gives back twice leaves other readers' lock alone, of its own name or not", () => {
  for (const other of ["r1", "r2"]) {
    const { scheduler, lock } = world();
    const first = scheduler.complete("test", lock.read("r1"));
    const second = scheduler.complete("test", lock.read(other));
    for (const _ of [1, 2]) first[Symbol.dispose]();
    expect(lock.tryWrite("w")).toBeNull();
    second[Symbol.dispose]();
    expect(lock.tryWrite("w")).not.toBeNull();
  }
});
