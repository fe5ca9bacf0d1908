/** Trying orders: all of them, or as many as a bound allows, and saying which of the two it was. */
import { Scheduler } from "./scheduler.js";
import { exhaustive, replayToken, type Strategy } from "./strategy.js";

/** One order and what came of it. */
export interface Explored<R> {
  readonly result: R;
  readonly token: string;
  readonly steps: number;
}

/**
 * The end of a search. `exhausted`: every order was tried. `bounded`: `ordersMax` was reached first, or the strategy
 * tries some only, and nothing is known of the rest. Never read a `bounded` search as a proof.
 */
export interface Exploration<R> {
  readonly kind: "exhausted" | "bounded";
  readonly explored: number;
  readonly ordersMax: number;
  /** The best order by `worse`, shortest first among equals. */
  readonly worst: Explored<R>;
}

/** How far to search, and for what. */
export interface ExploreOptions<R> {
  /** Orders after which the search gives up. @defaultValue 20_000 */
  readonly ordersMax?: number;
  /** Steps after which one order ends as it stands. @defaultValue 1_000_000 */
  readonly stepsMax?: number;
  /** A number that grows with how bad a result is; the search keeps the worst. */
  readonly badness: (result: R) => number;
  readonly strategy?: Strategy;
}

/**
 * Runs `world` once for each order. It must build everything anew and use nothing but the scheduler it is given.
 * @example
 * const found = explore(
 *   (scheduler) => {
 *     const seen: string[] = [];
 *     for (const name of ["a", "b"])
 *       scheduler.spawn(name, (function* () {
 *         seen.push(name);
 *         yield { site: "here", ready: null };
 *       })());
 *     scheduler.run();
 *     return seen.join("");
 *   },
 *   { badness: (seen) => Number(seen === "ba") },
 * );
 * [found.kind, found.explored, found.worst.result]; // ["exhausted", 6, "ba"]
 */
export function explore<R>(world: (scheduler: Scheduler) => R, options: ExploreOptions<R>): Exploration<R> {
  const { ordersMax = 20_000, stepsMax, badness, strategy = exhaustive() } = options;
  let worst: Explored<R> | undefined;
  let worstBadness = -Infinity;
  let explored = 0;
  while (strategy.begin()) {
    if (explored === ordersMax) return { kind: "bounded", explored, ordersMax, worst: worst as Explored<R> };
    const scheduler = new Scheduler(strategy, stepsMax);
    const result = world(scheduler);
    explored++;
    const bad = badness(result);
    if (worst && (bad < worstBadness || (bad === worstBadness && scheduler.steps >= worst.steps))) continue;
    worst = { result, token: replayToken(strategy.choices()), steps: scheduler.steps };
    worstBadness = bad;
  }
  if (!worst) throw new RangeError("explore: the strategy offered no run");
  return { kind: strategy.complete ? "exhausted" : "bounded", explored, ordersMax, worst };
}
