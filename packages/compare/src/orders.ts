/**
 * Which orders of a race are tried: those with the fewest preemptions first, as most races show themselves in an order
 * with one or two (Musuvathi and Qadeer, PLDI 2007). The number of those grows with a power of a run's length, where
 * that of all orders grows exponentially.
 */
import { type Explored, explore, type Scheduler } from "@dma-buf/core";
import { FewestPreemptions, type SearchBound } from "./fewest-preemptions.js";
import type { Schedules } from "./result.js";

/** `all`: every order, up to {@link ORDERS_MAX}. A number: at most that many, those with the fewest preemptions first. */
export type Orders = "default" | "all" | number;

/** Where even `all` gives up. */
export const ORDERS_MAX = 20_000;
/** Of one order: a run takes some hundreds, so whoever is not done by now goes round in a circle. */
const STEPS_MAX = 20_000;
/**
 * Where all orders are `enough` or fewer, all are tried; where one preemption allows for more than `ordersMax`, so many.
 * In no race of the catalogue do 200 orders find a verdict that these do not.
 */
const DEFAULT: SearchBound = { preemptionsMax: 1, enough: 16, ordersMax: 24 };

/** The worst order that was found, and how far was searched. */
export interface Searched<R> {
  readonly worst: Explored<R>;
  readonly schedules: Schedules;
}

/** @param isEnough ends the search early: an order as bad as this decides what is asked */
export function searchOrders<R>(
  world: (scheduler: Scheduler) => R,
  badness: (result: R) => number,
  orders: Orders = "default",
  isEnough: (badness: number) => boolean = () => false,
): Searched<R> {
  const strategy = new FewestPreemptions(boundOf(orders));
  const search = (scheduler: Scheduler): R => {
    const result = world(scheduler);
    // Beyond an order that does not end there are as many others as it has steps.
    if (scheduler.steps >= STEPS_MAX || isEnough(badness(result))) strategy.stop();
    return result;
  };
  const { explored, worst } = explore(search, { badness, strategy, ordersMax: ORDERS_MAX, stepsMax: STEPS_MAX });
  const { complete: exhausted, bound } = strategy;
  return { worst, schedules: { explored, exhausted, ...(exhausted ? {} : { bound }) } };
}

function boundOf(orders: Orders): SearchBound {
  if (orders === "default") return DEFAULT;
  return { preemptionsMax: Infinity, enough: 0, ordersMax: orders === "all" ? ORDERS_MAX : orders };
}
