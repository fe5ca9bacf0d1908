import { type Op, point, type Scheduler } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { ORDERS_MAX, type Orders, searchOrders } from "./orders.js";

function* letters(log: string[], name: string, yields: number): Op<void> {
  for (let i = 0; i < yields; i++) {
    log.push(name);
    yield* point(name);
  }
  log.push(name);
}

/** All orders that were tried, as the letters of the tasks that stepped, and what is said of the search. */
function tried(tasks: Record<string, number>, orders: Orders, isBad: (seen: string) => boolean = () => false) {
  const seen: string[] = [];
  const world = (scheduler: Scheduler): string => {
    const log: string[] = [];
    for (const [name, yields] of Object.entries(tasks)) scheduler.spawn(name, letters(log, name, yields));
    scheduler.run();
    seen.push(log.join(""));
    return log.join("");
  };
  const { worst, schedules } = searchOrders(world, (log) => Number(isBad(log)), orders);
  return { seen, worst: worst.result, schedules };
}

/** How often a task of "aabba" had to stop before its end. */
function preemptions(order: string): number {
  return Array.from(order).filter(
    (name, i) => i > 0 && order[i - 1] !== name && order.indexOf(order[i - 1] as string, i) >= 0,
  ).length;
}

describe("the orders of a race", () => {
  // Two tasks of a and b steps interleave in (a + b)! / (a! b!) ways.
  it("are all tried where they are few, each once: 5! / (3! 2!)", () => {
    const { seen, schedules } = tried({ a: 2, b: 1 }, "default");
    expect([seen.length, new Set(seen).size, schedules]).toEqual([10, 10, { explored: 10, exhausted: true }]);
  });

  it("come with the fewest preemptions first", () => {
    const counts = tried({ a: 2, b: 2 }, "default").seen.map(preemptions);
    expect(counts).toEqual(counts.toSorted((a, b) => a - b));
  });

  it("are those with at most one preemption where they are many, and as many as that others: none of them is missing", () => {
    const { seen, schedules } = tried({ a: 5, b: 5 }, "default");
    const few = tried({ a: 5, b: 5 }, "all").seen.filter((order) => preemptions(order) <= 1);
    expect(few.filter((order) => !seen.includes(order))).toEqual([]);
    expect(schedules).toEqual({ explored: seen.length, exhausted: false, bound: "at most 1 preemption" });
    expect(seen.length).toBe(16);
  });

  it("are fewer than that in a long race, and it is said how many", () => {
    expect(tried({ a: 40, b: 40 }, "default").schedules).toEqual({
      explored: 24,
      exhausted: false,
      bound: "no preemption, and some orders with 1",
    });
    expect(tried({ a: 5, b: 5 }, 1).schedules.bound).toBe("the first 1 orders");
  });

  it("are all tried when asked for, up to a limit: 12! / (6! 6!)", () => {
    expect(tried({ a: 5, b: 5 }, "all").schedules).toEqual({ explored: 924, exhausted: true });
    expect(tried({ a: 9, b: 9 }, "all").schedules).toMatchObject({ explored: ORDERS_MAX, exhausted: false });
  });

  it("keep the worst", () => {
    expect(tried({ a: 3, b: 3 }, "default", (log) => log === "aabbbbaa").worst).toBe("aabbbbaa");
  });

  it("are no more than it takes, where one as bad as what is asked decides", () => {
    const isBad = (log: string): number => Number(log !== "ab");
    const world = (scheduler: Scheduler): string => {
      const log: string[] = [];
      for (const name of ["a", "b"]) scheduler.spawn(name, letters(log, name, 0));
      scheduler.run();
      return log.join("");
    };
    const { schedules } = searchOrders(world, isBad, "default", (bad) => bad >= 0);
    expect(schedules).toMatchObject({ explored: 1, exhausted: false });
    expect(searchOrders(world, isBad, "default", (bad) => bad >= 1).worst.result).toBe("ba");
  });

  it("cannot be tried of what does not do the same each time", () => {
    let tasks = 5;
    const world = (scheduler: Scheduler): void => {
      tasks--;
      for (let i = 0; i < tasks; i++) scheduler.spawn(`${i}`, letters([], "a", 1));
      scheduler.run();
    };
    expect(() => searchOrders(world, () => 0)).toThrow(/the run is not deterministic/);
  });

  it("that never end are cut off", () => {
    function* spin(): Op<void> {
      for (;;) yield* point("round and round");
    }
    const world = (scheduler: Scheduler): string => {
      scheduler.spawn("spin", spin());
      return scheduler.run().kind;
    };
    expect(searchOrders(world, () => 0).worst.result).toBe("step-limit");
    const withAnother = (scheduler: Scheduler): string => {
      scheduler.spawn("other", letters([], "other", 1));
      return world(scheduler);
    };
    // Each of its steps would be the beginning of another order.
    expect(searchOrders(withAnother, () => 0, "all").schedules).toMatchObject({ explored: 1, exhausted: false });
  });
});
