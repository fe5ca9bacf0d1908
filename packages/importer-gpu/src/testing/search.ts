/** How orders of a race are tried: all of them, some at random, or one on purpose. */
import { exhaustive, explore, Scheduler, seeded, type Strategy } from "@dma-buf/core";
import type { GpuOptions } from "../index.js";
import { light } from "./light.js";
import type { VariantId } from "./variants.js";
import type { Build } from "./world.js";

/** What was seen wrong in an order, by the words of the catalogue. */
export type Wrong = readonly string[];

/** Where a race is run. */
export interface Arena {
  readonly scheduler: Scheduler;
  readonly build: Build;
  /** True while the race is on: before and after it there is one order. */
  racing: boolean;
}

/** Everything is set up, then tasks run against each other. */
export type Race = (arena: Arena, id: VariantId, importer: GpuOptions) => Wrong;

/** `120` if those were all orders of the set that {@link inRace} leaves; `3000/` if there are more. With what was worst in them. */
export function search(race: Race, id: VariantId, importer: GpuOptions = {}, ordersMax = 20_000): [string, Wrong] {
  let arena: Arena | null = null;
  const strategy = inRace(() => arena?.racing ?? false, exhaustive());
  const found = explore((scheduler) => race((arena = { scheduler, build: light, racing: false }), id, importer), {
    ordersMax,
    strategy,
    badness: (wrong) => wrong.length,
  });
  return [`${found.explored}${found.kind === "exhausted" ? "" : "/"}`, found.worst.result];
}

/**
 * Orders of the race alone, and of what tasks do to each other alone: what a driver, an engine or an exporter does before
 * its first wait concerns nobody else, so that a task of theirs begins when it is made.
 */
function inRace(racing: () => boolean, inner: Strategy): Strategy {
  return {
    complete: inner.complete,
    begin: () => inner.begin(),
    choices: () => inner.choices(),
    pick(runnable, last) {
      if (!racing()) return 0;
      const fresh = runnable.findIndex((task) => task.wait === null && task.name !== "user");
      return fresh < 0 ? inner.pick(runnable, last) : fresh;
    },
  };
}

/** What is wrong in the first of some orders at random in which it matches; nothing, where it does in none. */
export function someWrong(race: Race, id: VariantId, importer: GpuOptions, what: RegExp, build: Build = light): Wrong {
  for (let seed = 0; seed < 100; seed++) {
    const strategy = seeded(seed);
    strategy.begin();
    const wrong = race({ scheduler: new Scheduler(strategy), build, racing: false }, id, importer);
    if (wrong.some((w) => what.test(w))) return wrong;
  }
  return [];
}

/** `user` goes first as far as `site`, then all others, then `user`. */
export function passing(site: string): Scheduler {
  const strategy: Strategy = {
    complete: false,
    begin: () => true,
    pick(runnable) {
      const at = runnable.findIndex((task) => task.name === "user");
      const others = runnable.findIndex((task) => task.name !== "user");
      return runnable[at]?.wait?.site === site ? others : Math.max(0, at);
    },
    choices: () => [],
  };
  return new Scheduler(strategy);
}
