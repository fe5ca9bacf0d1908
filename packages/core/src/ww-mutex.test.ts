/** Wait-die, case by case as the kernel's ww-mutex documentation has them, and as laws over every order. */
import { describe, expect, it } from "vitest";
import { Env } from "./env.js";
import { DmaBufError } from "./error.js";
import { explore } from "./explore.js";
import { type Op, point, until } from "./op.js";
import { DmaResv, type ResvGuard } from "./resv.js";
import { Scheduler } from "./scheduler.js";
import { AcquireTicket } from "./ww-mutex.js";

interface Bench {
  readonly env: Env;
  readonly a: DmaResv;
  readonly b: DmaResv;
  readonly log: string[];
  /** Locks and logs; holds until `release` is true. */
  lock(name: string, resv: DmaResv, ticket: AcquireTicket | null, release?: () => boolean): Op<void>;
}

function bench(scheduler = new Scheduler()): Bench {
  const env = new Env(scheduler, { trace: false });
  const log: string[] = [];
  function* lock(name: string, resv: DmaResv, ticket: AcquireTicket | null, release = () => true): Op<void> {
    try {
      using _held = yield* resv.lock(ticket);
      log.push(name);
      yield* until("release", release);
    } catch (error) {
      if (!(error instanceof DmaBufError)) throw error;
      log.push(`${name} ${error.code}`);
    }
  }
  return { env, a: new DmaResv("A", env), b: new DmaResv("B", env), log, lock };
}

/** The waiter holds another lock with its ticket, the holder holds B with its own or none. */
function contend(waiterIsOlder: boolean, holderHasTicket: boolean, waiterHolds: boolean): string[] {
  const { env, a, b, log, lock } = bench();
  const [first, second] = [new AcquireTicket(env), new AcquireTicket(env)];
  const [waiter, holder] = waiterIsOlder ? [first, second] : [second, first];
  let released = false;
  env.scheduler.spawn(
    "holder",
    lock("holder", b, holderHasTicket ? holder : null, () => released),
  );
  env.scheduler.spawn(
    "waiter",
    (function* (): Op<void> {
      using _other = waiterHolds ? yield* a.lock(waiter) : null;
      yield* until("holder", () => b.locked);
      yield* lock("waiter", b, waiter);
    })(),
  );
  env.scheduler.spawn(
    "clock",
    (function* (): Op<void> {
      yield { site: "later", ready: () => false, deadline: 1 };
      released = true;
    })(),
  );
  env.scheduler.run();
  return log;
}

describe("who waits and who dies", () => {
  it.each([
    ["younger, holds another lock, holder older: dies", false, true, true, "waiter EDEADLK"],
    ["younger, holds nothing: waits", false, true, false, "waiter"],
    ["older, holds another lock: waits", true, true, true, "waiter"],
    ["younger, but the holder has no ticket: waits", false, false, true, "waiter"],
  ] as const)("%s", (_name, older, ticket, holds, expected) => {
    expect(contend(older, ticket, holds)).toEqual(["holder", expected]);
  });

  it("an older ticket that comes to wait kills the younger one that waits and holds another lock", () => {
    const { env, a, b, log, lock } = bench();
    const [older, younger] = [new AcquireTicket(env), new AcquireTicket(env)];
    const guard = b.tryLock() as ResvGuard;
    env.scheduler.spawn(
      "younger",
      (function* (): Op<void> {
        using _other = yield* a.lock(younger);
        yield* lock("younger", b, younger);
        guard[Symbol.dispose]();
      })(),
    );
    env.scheduler.spawn(
      "older",
      (function* (): Op<void> {
        yield* until("younger", () => a.locked);
        yield* point("let it wait");
        yield* lock("older", b, older);
      })(),
    );
    expect([env.scheduler.run().kind, log]).toEqual(["done", ["younger EDEADLK", "older"]]);
  });

  it("tickets wait in the order of their stamps, who has none where he came", () => {
    const { env, b, log, lock } = bench();
    const tickets = [1, 2, 3].map(() => new AcquireTicket(env));
    const guard = b.tryLock() as ResvGuard;
    const order: [string, AcquireTicket | null][] = [
      ["plain 1", null],
      ["third", tickets[2] ?? null],
      ["plain 2", null],
      ["first", tickets[0] ?? null],
      ["second", tickets[1] ?? null],
    ];
    for (const [name, ticket] of order) env.scheduler.spawn(name, lock(name, b, ticket));
    env.scheduler.spawn(
      "end",
      (function* (): Op<void> {
        yield { site: "later", ready: () => false, deadline: 1 };
        guard[Symbol.dispose]();
      })(),
    );
    env.scheduler.run();
    expect(log).toEqual(["plain 1", "first", "second", "third", "plain 2"]);
  });

  it("trylock never waits and has no ticket", () => {
    const { a } = bench();
    const held = a.tryLock();
    expect([held?.ticket, a.tryLock()]).toEqual([null, null]);
  });

  it("tells its ticket to whoever runs under it", () => {
    const { env, a } = bench();
    const ticket = new AcquireTicket(env);
    env.scheduler.complete(
      "t",
      (function* (): Op<void> {
        using held = yield* a.lock(ticket);
        expect([held.ticket, ticket.acquired]).toEqual([ticket, 1]);
      })(),
    );
    expect([a.locked, ticket.acquired]).toEqual([false, 0]);
  });
});

/** The protocol of the kernel's documentation: on EDEADLK give all back, lockSlow the contended one, then the rest. */
function* lockBoth(env: Env, x: DmaResv, y: DmaResv): Op<void> {
  const ticket = new AcquireTicket(env);
  let [first, second] = [x, y];
  let slow = false;
  for (let done = false; !done; ) {
    const held = slow ? yield* first.lockSlow(ticket) : yield* first.lock(ticket);
    try {
      using _second = yield* second.lock(ticket);
      yield* point("both held");
      done = true;
    } catch (error) {
      if (!(error instanceof DmaBufError && error.code === "EDEADLK")) throw error;
      [first, second, slow] = [second, first, true];
    } finally {
      held[Symbol.dispose]();
    }
  }
  ticket.fini();
}

it("two tasks with tickets that lock in opposite orders always end, in every order; without tickets some deadlock", () => {
  const search = (withTickets: boolean) =>
    explore(
      (scheduler) => {
        const { env, a, b } = bench(scheduler);
        function* plain(x: DmaResv, y: DmaResv): Op<void> {
          using _1 = yield* x.lock();
          using _2 = yield* y.lock();
        }
        const take = (x: DmaResv, y: DmaResv) => (withTickets ? lockBoth(env, x, y) : plain(x, y));
        scheduler.spawn("one", take(a, b));
        scheduler.spawn("two", take(b, a));
        const end = scheduler.run();
        return { end: end.kind, findings: env.findings.length, left: a.locked || b.locked };
      },
      { badness: (r) => Number(r.end !== "done") * 4 + r.findings + Number(r.left) },
    );
  expect(search(true)).toMatchObject({
    kind: "exhausted",
    worst: { result: { end: "done", findings: 0, left: false } },
  });
  expect(search(false)).toMatchObject({ kind: "exhausted", worst: { result: { end: "deadlock" } } });
});

it("the slow path waits, whatever else its ticket holds: a finding, and no EDEADLK in any order", () => {
  const found = explore(
    (scheduler) => {
      const env = new Env(scheduler, { trace: false });
      const [a, b] = [new DmaResv("A", env), new DmaResv("B", env)];
      const [older, younger] = [new AcquireTicket(env), new AcquireTicket(env)];
      scheduler.spawn(
        "older",
        (function* (): Op<void> {
          using _b = yield* b.lock(older);
          yield* until("the other", () => a.locked);
          for (let i = 0; i < 3; i++) yield* point("work");
        })(),
      );
      const task = scheduler.spawn(
        "younger",
        (function* (): Op<void> {
          yield* until("the older one", () => b.locked);
          using _a = yield* a.lock(younger);
          using _b = yield* b.lockSlow(younger);
        })(),
      );
      scheduler.run();
      return { state: task.state, levels: env.findings.map((f) => f.level).join() };
    },
    { badness: ({ state }) => Number(state !== "done") },
  );
  expect([found.kind, found.worst.result]).toEqual(["exhausted", { state: "done", levels: "warn" }]);
});
