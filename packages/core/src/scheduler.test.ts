import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Env } from "./env.js";
import { explore } from "./explore.js";
import { type Op, point, until } from "./op.js";
import { DmaResv } from "./resv.js";
import { EndSignal, Scheduler, type Task } from "./scheduler.js";
import { arrivalOrder, exhaustive, replay, replayToken, seeded } from "./strategy.js";

function* letters(log: string[], name: string, yields: number): Op<void> {
  for (let i = 0; i < yields; i++) {
    log.push(name);
    yield* point(name);
  }
  log.push(name);
}

function orders(tasks: Record<string, number>): string[] {
  const seen: string[] = [];
  const found = explore(
    (scheduler) => {
      const log: string[] = [];
      for (const [name, yields] of Object.entries(tasks)) scheduler.spawn(name, letters(log, name, yields));
      scheduler.run();
      seen.push(log.join(""));
    },
    { badness: () => 0 },
  );
  expect(found).toMatchObject({ kind: "exhausted", explored: seen.length });
  return seen;
}

describe("every order", () => {
  // n yields are n + 1 steps; two tasks of a and b steps interleave in (a + b)! / (a! b!) ways.
  it("two tasks of one step each: 2", () => expect(orders({ a: 0, b: 0 }).toSorted()).toEqual(["ab", "ba"]));
  it("two tasks of two steps each: 4! / (2! 2!) = 6", () => expect(new Set(orders({ a: 1, b: 1 })).size).toBe(6));
  it("three and two steps: 5! / (3! 2!) = 10", () => expect(orders({ a: 2, b: 1 })).toHaveLength(10));
  it("three tasks of two steps: 6! / (2! 2! 2!) = 90, none twice", () => {
    const seen = orders({ a: 1, b: 1, c: 1 });
    expect([seen.length, new Set(seen).size]).toEqual([90, 90]);
  });

  it("says bounded when a bound stopped it", () => {
    const world = (scheduler: Scheduler): void => {
      for (const name of ["a", "b"]) scheduler.spawn(name, letters([], name, 1));
      scheduler.run();
    };
    expect(explore(world, { badness: () => 0, ordersMax: 5 })).toMatchObject({ kind: "bounded", explored: 5 });
    expect(explore(world, { badness: () => 0, ordersMax: 6 })).toMatchObject({ kind: "exhausted", explored: 6 });
  });

  it("keeps the worst order and can run it again", () => {
    const world = (scheduler: Scheduler): string => {
      const log: string[] = [];
      for (const name of ["a", "b"]) scheduler.spawn(name, letters(log, name, 1));
      scheduler.run();
      return log.join("");
    };
    const { worst } = explore(world, { badness: (log) => Number(log === "baba") });
    const again = replay(worst.token);
    again.begin();
    expect([worst.result, world(new Scheduler(again))]).toEqual(["baba", "baba"]);
  });
});

describe("strategies", () => {
  const run = (scheduler: Scheduler): string => {
    const log: string[] = [];
    for (const name of ["a", "b", "c"]) scheduler.spawn(name, letters(log, name, 3));
    scheduler.run();
    return log.join("");
  };
  it("arrival order does not preempt", () => expect(run(new Scheduler(arrivalOrder()))).toBe("aaaabbbbcccc"));
  it("the same seed gives the same order, and seeds differ", () => {
    const logs = [1, 2, 3, 4].map((seed) => run(new Scheduler(seeded(seed))));
    expect(logs).toEqual([1, 2, 3, 4].map((seed) => run(new Scheduler(seeded(seed)))));
    expect(new Set(logs).size).toBeGreaterThan(1);
  });
  it("any token comes back from its choices", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(2), { maxLength: 8 }), (choices) => {
        const strategy = replay(replayToken(choices));
        const scheduler = new Scheduler(strategy);
        for (const name of ["a", "b", "c"]) scheduler.spawn(name, letters([], name, 20));
        scheduler.run();
        expect(strategy.choices().slice(0, choices.length)).toEqual(choices);
      }),
    );
  });
  it.each(["", "dbs2:1", "dbs1", "dbs1:x", "dbs1:1:2"])("refuses the token %j", (token) => {
    expect(() => replay(token)).toThrow(/not a replay token/);
  });
  it("refuses a token of another program", () => {
    expect(() => run(new Scheduler(replay("dbs1:7")))).toThrow(/stale/);
  });
  it("notices a system that is not deterministic", () => {
    let runs = 0;
    const world = (scheduler: Scheduler): void => {
      const tasks = runs++ === 0 ? ["a", "b"] : ["a", "b", "c"];
      for (const name of tasks) scheduler.spawn(name, letters([], name, 2));
      scheduler.run();
    };
    expect(() => explore(world, { badness: () => 0, strategy: exhaustive() })).toThrow(/not deterministic/);
  });
});

describe("ends", () => {
  it("a deadlock names who waits where for whom, and every finally runs", () => {
    function* both(first: DmaResv, second: DmaResv): Op<void> {
      using _1 = yield* first.lock();
      yield* point("between");
      using _2 = yield* second.lock();
    }
    const found = explore(
      (s) => {
        const t = new Env(s, { trace: false });
        const [x, y] = [new DmaResv("X", t), new DmaResv("Y", t)];
        s.spawn("one", both(x, y));
        s.spawn("two", both(y, x));
        const end = s.run();
        return { end, left: x.locked || y.locked };
      },
      { badness: (r) => Number(r.end.kind === "deadlock") },
    );
    expect(found.worst.result).toEqual({
      end: {
        kind: "deadlock",
        waits: [
          { task: "one", site: "resv.lock", blockedOn: "Y, held by two" },
          { task: "two", site: "resv.lock", blockedOn: "X, held by one" },
        ],
      },
      left: false,
    });
  });

  it("locking twice in one task waits for itself, by name", () => {
    const scheduler = new Scheduler();
    const resv = new DmaResv("R", new Env(scheduler));
    scheduler.spawn(
      "me",
      (function* (): Op<void> {
        using _1 = yield* resv.lock();
        using _2 = yield* resv.lock();
      })(),
    );
    expect(scheduler.run()).toMatchObject({ kind: "deadlock", waits: [{ task: "me", blockedOn: "R, held by me" }] });
    expect(resv.locked).toBe(false);
  });

  it("stops at the limit of steps", () => {
    const scheduler = new Scheduler(arrivalOrder(), 10);
    scheduler.spawn(
      "spin",
      (function* (): Op<void> {
        for (;;) yield* point("spin");
      })(),
    );
    expect(scheduler.run()).toEqual({
      kind: "step-limit",
      stepsMax: 10,
      waits: [{ task: "spin", site: "spin", blockedOn: "its turn" }],
    });
  });

  it("each order of a search has that limit", () => {
    const world = (scheduler: Scheduler) => {
      scheduler.spawn("spin", letters([], "a", Infinity));
      return scheduler.run();
    };
    expect(explore(world, { stepsMax: 10, badness: () => 0 }).worst.result).toMatchObject({ stepsMax: 10 });
  });

  it("a strategy is told who took the last step, which was picked or alone", () => {
    const told: (string | undefined)[] = [];
    const pick = (_runnable: readonly Task[], last: Task | null): number => {
      told.push(last?.name);
      return 0;
    };
    const run = (alone: number): void => {
      const scheduler = new Scheduler({ complete: false, begin: () => true, choices: () => [], pick });
      function* first(): Op<void> {
        for (let i = 0; i < alone; i++) yield* point("alone");
        scheduler.spawn("second", letters([], "second", 0));
        yield* point("a choice");
      }
      scheduler.spawn("first", first());
      if (alone === 0) scheduler.spawn("other", letters([], "other", 0));
      scheduler.run();
    };
    run(2);
    expect(told).toEqual(["first"]);
    run(0);
    expect(told.slice(1)).toEqual([undefined, "first", "first"]);
  });

  it("complete() throws what the operation threw", () => {
    const fails = (function* (): Op<void> {
      yield* point("x");
      throw new RangeError("no");
    })();
    expect(() => new Scheduler().complete("t", fails)).toThrow(RangeError);
  });
});

describe("a task that is ended", () => {
  const never = (): Op<void> => until("never", () => false);

  /** Runs them until none can go on. */
  function ended(...ops: Op<void>[]): unknown[] {
    const scheduler = new Scheduler();
    const tasks = ops.map((op, i) => scheduler.spawn(`task ${i}`, op));
    expect(scheduler.run().kind).toBe("deadlock");
    expect(tasks.map((task) => task.wait)).toEqual(tasks.map(() => null));
    return tasks.map((task) => task.error ?? task.state);
  }

  it("goes through every finally, also one that sleeps, and through nothing else", () => {
    const log: string[] = [];
    function* inner(): Op<void> {
      try {
        yield* never();
      } finally {
        for (const step of ["first", "second"]) {
          yield* point(step);
          log.push(step);
        }
      }
    }
    function* outer(): Op<void> {
      try {
        yield* inner();
        log.push("goes on");
      } finally {
        yield* point("outer");
        log.push("outer");
      }
      log.push("goes on");
    }
    expect([ended(outer()), log]).toEqual([["ended"], ["first", "second", "outer"]]);
  });

  it("sleeps in a finally for what another gives back when it is ended", () => {
    const resv = new DmaResv("R", new Env(new Scheduler()));
    const log: string[] = [];
    function* waits(): Op<void> {
      try {
        yield* never();
      } finally {
        using _held = yield* resv.lock();
        log.push("gave back");
      }
    }
    function* holds(): Op<void> {
      using _held = yield* resv.lock();
      yield* never();
    }
    expect([ended(waits(), holds()), log, resv.locked]).toEqual([["ended", "ended"], ["gave back"], false]);
  });

  it("sleeps in a finally until its deadline", () => {
    const log: string[] = [];
    function* op(): Op<void> {
      try {
        yield* never();
      } finally {
        yield* until("a while", () => false, undefined, 10);
        log.push("woke up");
      }
    }
    expect([ended(op()), log]).toEqual([["ended"], ["woke up"]]);
  });

  it("goes on where what a finally waits for does not come", () => {
    const log: string[] = [];
    function* op(): Op<void> {
      try {
        yield* never();
      } finally {
        yield* never();
        log.push("gave back");
      }
    }
    expect([ended(op()), log]).toEqual([["ended"], ["gave back"]]);
  });

  it.each([undefined, null, Promise.resolve(), 4])(
    "yields %s in a finally, which is no Wait: that is passed over",
    (no) => {
      const log: string[] = [];
      function* op(): Op<void> {
        try {
          yield* never();
        } finally {
          yield no as never;
          log.push("gave back");
        }
      }
      expect([ended(op()), log]).toEqual([["ended"], ["gave back"]]);
    },
  );

  it("sees the end in a catch, which cannot keep it", () => {
    const log: unknown[] = [];
    function* op(): Op<void> {
      for (;;) {
        try {
          yield* never();
        } catch (error) {
          log.push(error instanceof EndSignal);
        }
      }
    }
    expect([ended(op()), log]).toEqual([["ended"], [true]]);
  });

  it("is closed in a loop that does not end: the finally around it runs", () => {
    const log: string[] = [];
    function* op(): Op<void> {
      try {
        yield* never();
      } catch {
        for (;;) yield* point("spins");
      } finally {
        log.push("outer");
      }
    }
    expect([ended(op()), log]).toEqual([["ended"], ["outer"]]);
  });

  it.each<[string, () => Op<void>]>([
    [
      "a finally that never ends",
      function* () {
        try {
          yield* never();
        } finally {
          for (;;) yield* point("spins");
        }
      },
    ],
    [
      "a catch that spins",
      function* () {
        for (;;) {
          try {
            yield* never();
          } catch {
            for (;;) yield* point("spins");
          }
        }
      },
    ],
  ])("%s is given up, and holds up nobody", (_what, spins) => {
    let gaveBack = false;
    function* other(): Op<void> {
      try {
        yield* never();
      } finally {
        yield* point("gives back");
        gaveBack = true;
      }
    }
    expect([ended(spins(), other()), gaveBack]).toEqual([["ended", "ended"], true]);
  });

  it("has failed where a finally throws", () => {
    const fail = (): never => {
      throw new RangeError("no");
    };
    function* op(): Op<void> {
      try {
        yield* never();
      } finally {
        yield* point("gives back");
        fail();
      }
    }
    expect(ended(op())).toEqual([new RangeError("no")]);
  });
});

describe("reservation", () => {
  it("is held by one task at a time in every order", () => {
    const found = explore(
      (scheduler) => {
        const resv = new DmaResv("R", new Env(scheduler));
        let inside = 0;
        let most = 0;
        function* critical(): Op<void> {
          using _ = yield* resv.lock();
          most = Math.max(most, ++inside);
          yield* point("inside");
          inside--;
        }
        for (const name of ["a", "b", "c"]) scheduler.spawn(name, critical());
        scheduler.run();
        return most;
      },
      { badness: (most) => most },
    );
    expect(found.worst.result).toBe(1);
    expect(found.explored).toBeGreaterThan(90);
  });

  it("a guard is dead after it is given back, and giving back twice is harmless", () => {
    const scheduler = new Scheduler();
    const resv = new DmaResv("R", new Env(scheduler));
    const first = resv.tryLock();
    expect([first?.live, resv.tryLock()]).toEqual([true, null]);
    first?.[Symbol.dispose]();
    const second = resv.tryLock();
    first?.[Symbol.dispose]();
    expect([first?.live, second?.live, resv.locked]).toEqual([false, true, true]);
  });
});

it("a task that yields a Promise gives its locks back", () => {
  const scheduler = new Scheduler();
  const resv = new DmaResv("R", new Env(scheduler));
  const task = scheduler.spawn(
    "async",
    (function* (): Op<void> {
      using _held = yield* resv.lock();
      yield Promise.resolve() as never;
    })(),
  );
  expect([scheduler.run().kind, task.state, resv.locked]).toEqual(["done", "failed", false]);
});

it("a search by a strategy that tries some orders only is bounded", () => {
  const found = explore((scheduler) => scheduler.run(), { badness: () => 0, strategy: seeded(7) });
  expect([found.kind, found.explored]).toEqual(["bounded", 1]);
});
