/** One scenario under two contracts, run in one order, to see where the two part. */
import { replay, type Strategy, type TraceEvent } from "@dma-buf/core";
import type { Cell } from "./cell.js";
import type { Column } from "./column.js";
import { chosen, type ExplainOptions, UsageError } from "./compare.js";
import { badness } from "./judge.js";
import { commonEvents } from "./parting.js";
import type { Result, Rule, Verdict } from "./result.js";
import { row } from "./row.js";
import type { Scenario } from "./scenario/scenario.js";

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
export function versus({ scenario: id, contract, versus: other, ...rest }: VersusOptions): Versus {
  const { scenarios, columns, host } = chosen({ ...rest, scenarios: [id], contracts: [contract, other] });
  const [first, second] = row(scenarios[0] as Scenario, columns, host) as [Cell, Cell];
  const worse = badness(second.result().conforming) > badness(first.result().conforming) ? second : first;
  const { replayToken } = worse.trace("conforming") ?? cannotBuild(worse);
  const sides = [sideOf(first, replayToken), sideOf(second, replayToken)] as const;
  const told = sides.map(({ trace }, i) => ({ trace, contract: (columns[i] as Column).contract }));
  return {
    schemaVersion: 2,
    sides,
    orderOf: worse.result().contract,
    replayToken,
    common: commonEvents(...(told as [(typeof told)[0], (typeof told)[0]])),
  };
}

function sideOf(cell: Cell, token: string): Side {
  const again = cell.again(asFarAsItFits(token)) ?? cannotBuild(cell);
  return { result: cell.result(), verdict: again.verdict, rule: again.rule, trace: again.trace };
}

function cannotBuild(cell: Cell): never {
  const { scenario, contract, rule } = cell.result();
  throw new UsageError(`${scenario} cannot be built under ${contract}: ${rule.text}. Name two contracts that have it`);
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
