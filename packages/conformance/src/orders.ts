/** Trying orders, for importers and exporters alike: all of them, or some in turn and some at random, and which it was. */
import {
  exhaustive,
  explore,
  type Op,
  replayToken,
  type Scheduler,
  seeded,
  type Strategy,
  type Task,
} from "@dma-buf/core";
import type { Breach, Recorder } from "./recorder.js";

/** How many steps a search goes in turn, unless told, and, if that was not all, at random: long orders cost more. */
export const IN_TURN_STEPS = 40_000;
const AT_RANDOM_STEPS = 10_000;

/** A plugin against its counterpart, with everything built anew for each order. */
export interface Race {
  /** Under which it is found again. */
  readonly name: string;
  /** Where a search in turn gives up, if not at its usual end. */
  readonly stepsMax?: number;
  run(scheduler: Scheduler, trace?: boolean): Recorder;
}

/** What a search came to. */
export interface Search {
  /** Of the first order that breaks something: behind it, the search stops. Each says how to see that order again. */
  readonly breaches: readonly Breach[];
  /** How many orders, and whether that was all of them. */
  readonly orders: string;
}

/** How far to search. */
export interface CheckOptions {
  /**
   * Steps of all orders together after which the search of one race gives up trying them in turn. `Infinity`: none is
   * left out, however long that takes. @defaultValue 40_000, and 5_000 where two importers are raced
   */
  readonly stepsMax?: number;
}

/** Tries the orders of `race`. */
export function searchOrders(race: Race, { stepsMax = race.stepsMax ?? IN_TURN_STEPS }: CheckOptions = {}): Search {
  const found = search(race, exhaustive(), stepsMax);
  const { breaches, explored } = found;
  if (breaches.length > 0) return { breaches, orders: `broken in order ${explored}` };
  if (found.all) return { breaches, orders: `${explored} orders, all tried` };
  const random = search(race, atRandom(), AT_RANDOM_STEPS);
  return {
    breaches: random.breaches,
    orders: `${explored} orders in turn and ${random.explored} at random, not all`,
  };
}

/** Runs `ops` side by side and waits for all of them. `behindEach`: called behind each step that one of them makes. */
export function* together(
  scheduler: Scheduler,
  ops: Readonly<Record<string, Op<void>>>,
  behindEach: () => void = () => {},
): Op<readonly Task[]> {
  const tasks = Object.entries(ops).map(([name, op]) => scheduler.spawn(name, op));
  // A condition is read again behind each step: that makes no orders of its own, as a task would.
  function over(): boolean {
    behindEach();
    return tasks.every((t) => t.state !== "runnable");
  }
  yield { site: "join", ready: over, blockedOn: () => Object.keys(ops).join(" and ") };
  return tasks;
}

/** Stops at what is broken, and after `stepsMax`. */
function search(
  race: Race,
  strategy: Strategy,
  stepsMax: number,
): { readonly breaches: readonly Breach[]; readonly explored: number; readonly all: boolean } {
  let [breaches, steps, explored]: [readonly Breach[], number, number] = [[], 0, 0];
  const left = (): boolean => breaches.length === 0 && steps < stepsMax;
  let all = false;
  const bounded: Strategy = {
    complete: true,
    begin: () => left() && !(all = !strategy.begin()),
    pick: (runnable, last) => strategy.pick(runnable, last),
    choices: () => strategy.choices(),
  };
  explore(
    (scheduler) => {
      ({ breaches } = race.run(scheduler));
      steps += scheduler.steps;
      explored++;
    },
    { badness: () => 0, ordersMax: Infinity, strategy: bounded },
  );
  const again = `see the order with replayOrder(subject, "${race.name}", "${replayToken(strategy.choices())}")`;
  return { breaches: breaches.map((b) => ({ ...b, message: `${b.message}; ${again}` })), explored, all };
}

/** One seed after the other. */
function atRandom(): Strategy {
  let seed = 0;
  let one = seeded(seed);
  return {
    complete: false,
    begin: () => (one = seeded(seed++)).begin(),
    pick: (runnable, last) => one.pick(runnable, last),
    choices: () => one.choices(),
  };
}
