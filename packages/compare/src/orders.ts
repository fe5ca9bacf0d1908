/**
 * Which orders of a race are tried. Without a word it is all of them where they are few, and else all in which at most
 * two tasks are preempted: most races show themselves there (Musuvathi and Qadeer, PLDI 2007), and their number grows
 * with the square of a run's length, where that of all orders grows exponentially.
 */
import { type Explored, explore, type Scheduler, type Strategy, type Task } from "@dma-buf/core";
import type { Schedules } from "./result.js";

/** `all`: every order, up to {@link ORDERS_MAX}. A number: that many of them, depth first. */
export type Orders = "default" | "all" | number;

/** Where even `all` gives up. */
export const ORDERS_MAX = 20_000;
const PREEMPTIONS_MAX = 2;
/** So many orders are tried before it is asked whether they can be bounded. */
const FEW_ORDERS = 32;

/** The worst order that was found, and how far was searched. */
export interface Searched<R> {
  readonly worst: Explored<R>;
  readonly schedules: Schedules;
}

export function searchOrders<R>(
  world: (scheduler: Scheduler) => R,
  badness: (result: R) => number,
  orders: Orders = "default",
): Searched<R> {
  const ordersMax = orders === "all" ? ORDERS_MAX : orders === "default" ? FEW_ORDERS : orders;
  const { kind, explored, worst } = explore(world, { badness, ordersMax });
  if (kind === "exhausted") return { worst, schedules: { explored, exhausted: true } };
  if (orders !== "default")
    return { worst, schedules: { explored, exhausted: false, bound: `the first ${ordersMax} orders` } };
  return searchFewPreemptions(world, badness);
}

function searchFewPreemptions<R>(world: (scheduler: Scheduler) => R, badness: (result: R) => number): Searched<R> {
  const strategy = fewPreemptions(PREEMPTIONS_MAX);
  const { explored, worst } = explore(world, { badness, strategy, ordersMax: ORDERS_MAX });
  if (strategy.complete) return { worst, schedules: { explored, exhausted: true } };
  const cut = explored === ORDERS_MAX ? `the first ${ORDERS_MAX} orders with ` : "";
  return { worst, schedules: { explored, exhausted: false, bound: `${cut}at most ${PREEMPTIONS_MAX} preemptions` } };
}

/** A choice of one run, and what else there was to choose within the bound. */
interface Choice {
  readonly width: number;
  /** The order in which they are tried: going on with whoever ran is first. */
  readonly options: readonly number[];
  at: number;
}

/**
 * Every order in which at most `preemptionsMax` times a task that could go on had to let another go first, depth first.
 * A task that waits or ends is no preemption. `complete` once nothing was left out.
 */
export function fewPreemptions(preemptionsMax: number): Strategy {
  const path: Choice[] = [];
  let [depth, preemptions, leftOut, started] = [0, 0, false, false];

  function choose(runnable: readonly Task[], last: Task | null): Choice {
    const goesOn = last ? runnable.indexOf(last) : -1;
    const others = runnable.map((_, i) => i).filter((i) => i !== goesOn);
    const mayPreempt = goesOn < 0 || preemptions < preemptionsMax;
    if (!mayPreempt) leftOut = true;
    const options = goesOn < 0 ? others : [goesOn, ...(mayPreempt ? others : [])];
    return { width: runnable.length, options, at: 0 };
  }

  return {
    get complete() {
      return !leftOut;
    },
    begin() {
      [depth, preemptions] = [0, 0];
      if (!started) return (started = true);
      for (let end = path.at(-1); end; end = path.at(-1)) {
        if (++end.at < end.options.length) return true;
        path.pop();
      }
      return false;
    },
    pick(runnable, last) {
      const choice = (path[depth] ??= choose(runnable, last));
      if (choice.width !== runnable.length)
        throw new Error("the run is not deterministic: other tasks than before can go on");
      depth++;
      const picked = choice.options[choice.at] as number;
      if (last && runnable[picked] !== last && runnable.includes(last)) preemptions++;
      return picked;
    },
    choices: () => path.slice(0, depth).map((choice) => choice.options[choice.at] as number),
  };
}
