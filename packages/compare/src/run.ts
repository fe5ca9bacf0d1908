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
  /** No order after one that is as bad as this is tried: what is asked is decided. @defaultValue Infinity */
  readonly decidedAt?: number;
}

/** Tries orders and keeps the worst. */
export function runCell(options: CellOptions): Outcome {
  const { orders, decidedAt = Infinity } = options;
  const world = (scheduler: Scheduler): OrderResult => runOrder(scheduler, options, false);
  const isEnough = (bad: number): boolean => bad >= decidedAt;
  const { worst, schedules } = searchOrders(world, (result) => result.badness, orders, isEnough);
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

/** The page-table memory of the machine before, which is over: clearing it costs less than making another. */
let usedTables: TableMemory | null = null;

function runOrder(scheduler: Scheduler, options: CellOptions, trace: boolean): OrderResult {
  const world = new World(scheduler, { ...options, trace, usedTables });
  const { judge, framework, machine } = world;
  usedTables = machine.memory.tables;
  const task = scheduler.spawn("main", world.run());
  judge.ended(scheduler.run(), world.isTaken);
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
