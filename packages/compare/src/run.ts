/** Runs one cast of a cell: every order of its races, and the worst of them. */
import {
  type DmaBufError,
  replay,
  type Framework,
  Scheduler,
  type Strategy,
  type TableMemory,
  type TraceEvent,
} from "@dma-buf/core";
import type { Way } from "@dma-buf/machine";
import type { Binding } from "./binding.js";
import type { Column } from "./column.js";
import { badness } from "./judge.js";
import { type Orders, searchOrders } from "./orders.js";
import type { Rule, Schedules, Verdict } from "./result.js";
import type { Scenario } from "./scenario/scenario.js";
import type { Cast } from "./world/stage.js";
import { World } from "./world/world.js";

export const CONFORMING: Cast = { exporterAsPosted: false, importerAsPosted: false };
export const AS_POSTED: Cast = { exporterAsPosted: true, importerAsPosted: true };
/** The posted importer with the exporter it should have. */
export const GOOD_EXPORTER: Cast = { exporterAsPosted: false, importerAsPosted: true };

/** What one cast of a cell came to: the worst order, and how many were tried. */
export interface Outcome {
  readonly verdict: Verdict;
  readonly badness: number;
  readonly rule: Rule;
  /** Rules of the contract that somebody broke. */
  readonly violations: Framework["findings"];
  /** What a refusal was refused with. */
  readonly error: Pick<DmaBufError, "op" | "stage" | "cause"> | null;
  readonly forwardsAsked: boolean;
  readonly schedules: Schedules;
  readonly token: string;
}

export interface CellOptions {
  readonly scenario: Scenario;
  readonly column: Column;
  readonly binding: Binding;
  readonly cast: Cast;
  readonly forwards: boolean;
  /** @defaultValue "default" */
  readonly orders?: Orders;
}

/** Tries orders and keeps the worst. */
export function runCell(options: CellOptions): Outcome {
  const kept: Kept = { tables: null };
  const world = (scheduler: Scheduler): OrderResult => runOrder(scheduler, options, false, kept);
  const { worst, schedules } = searchOrders(world, (result) => result.badness, options.orders);
  return { ...worst.result, token: worst.token, schedules };
}

/** Runs one order again and keeps its trace. */
export function traceCell(options: CellOptions, token: string): OrderResult {
  return runIn(replay(token), options);
}

/** Runs one order and keeps its trace. */
export function runIn(strategy: Strategy, options: CellOptions): OrderResult {
  strategy.begin();
  return runOrder(new Scheduler(strategy), options, true);
}

export type OrderResult = Omit<Outcome, "schedules" | "token"> & {
  readonly trace: readonly TraceEvent[];
  /** How each access got where it ended; kept with the trace. */
  readonly ways: readonly Way[];
};

/** What the next order can use again. */
interface Kept {
  tables: TableMemory | null;
}

function runOrder(
  scheduler: Scheduler,
  options: CellOptions,
  trace: boolean,
  kept: Kept = { tables: null },
): OrderResult {
  const world = new World(scheduler, { ...options, trace, usedTables: kept.tables });
  const { judge, framework, machine } = world;
  kept.tables = machine.memory.tables;
  const task = scheduler.spawn("main", world.run());
  judge.ended(scheduler.run());
  if (task.state === "failed") throw task.error;
  const { verdict, rule } = judge;
  return {
    verdict,
    badness: badness(verdict),
    rule,
    violations: framework.findings.filter((f) => f.level === "violation"),
    error: judge.error,
    forwardsAsked: machine.forwardsAsked,
    trace: framework.trace.events,
    ways: machine.ways.ended,
  };
}
