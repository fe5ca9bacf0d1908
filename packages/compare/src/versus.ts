/** One scenario under two contracts, run in one order, to see where the two part. */
import { replay, type Strategy, type TraceEvent } from "@dma-buf/core";
import { cellsOf, type ExplainOptions, showing, UsageError } from "./compare.js";
import type { Runnable } from "./contained.js";
import { badness } from "./judge.js";
import { commonEvents, type Told } from "./parting.js";
import type { Result, Rule, Verdict } from "./result.js";

export interface VersusOptions extends Omit<ExplainOptions, "run"> {
  /** The id of the other contract. */
  readonly versus: string;
}

/** One of the two: its cell, and its run in the order that both were run in. */
export interface Side {
  readonly result: Result;
  /** Of this order; `result.conforming` is that of the worst. */
  readonly verdict: Verdict;
  readonly rule: Rule;
  readonly trace: readonly TraceEvent[];
}

/** What `dma-buf explain --versus` prints: two conforming runs, equal up to an event. */
export interface Versus {
  readonly schemaVersion: 2;
  readonly sides: readonly [Side, Side];
  /** Whose worst order it is: the contract's id. */
  readonly orderOf: string;
  readonly replayToken: string;
  /** Events that both have, from the first on: the next one is where they part. */
  readonly common: number;
}

/**
 * Runs the order that is worst for the worse of two contracts under both, and finds where they part. After that an order may
 * have no counterpart, and the second run goes on by itself.
 * @throws UsageError for ids that do not exist, or a cell that cannot be built
 * @example
 * versus({ scenario: "S34c", contract: "dma-address", versus: "pfn" }).orderOf; // "pfn"
 */
export function versus({ scenario, contract, versus: other, ...rest }: VersusOptions): Versus {
  const both = cellsOf(scenario, [contract, other], rest);
  const [first, second] = both.map(({ cell }) => ({ cell, ...showing(cell, "conforming") })) as [Shown, Shown];
  const worse = badness(second.result.conforming) > badness(first.result.conforming) ? second : first;
  const { replayToken } = worse.traced;
  const sides = [sideOf(first, replayToken), sideOf(second, replayToken)] as const;
  const [a, b] = both.map((side, i) => ({ contract: side.contract, trace: (sides[i] as Side).trace })) as [Told, Told];
  return { schemaVersion: 2, sides, orderOf: worse.result.contract, replayToken, common: commonEvents(a, b) };
}

type Shown = ReturnType<typeof showing> & { readonly cell: Runnable };

function sideOf({ cell, result }: Shown, token: string): Side {
  const again = cell.again(asFarAsItFits(token));
  if (!again)
    throw new UsageError(`${result.scenario} under ${result.contract} has no run in that order: ${result.rule.text}`);
  return { result, verdict: again.verdict, rule: again.rule, trace: again.trace };
}

/** Replays a run of another contract: once a choice is none here, whoever came first goes first. */
function asFarAsItFits(token: string): Strategy {
  const planned = replay(token);
  let fits = true;
  return {
    complete: false,
    begin: () => planned.begin(),
    choices: () => planned.choices(),
    pick(runnable, running) {
      if (!fits) return 0;
      try {
        return planned.pick(runnable, running);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        fits = false;
        return 0;
      }
    },
  };
}
