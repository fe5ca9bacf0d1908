/**
 * Scenarios under contracts, side by side: what happened, why, and whose doing it is.
 *
 * @packageDocumentation
 */
import type { Contract } from "@dma-buf/core";
import { columns } from "./columns.js";

export { compare, type CompareOptions, explain, type ExplainOptions, UsageError } from "./compare.js";
export type { Blame, Comparison, Expected, Explanation, Result, Schedules, Verdict, VerdictKind } from "./result.js";
export type { Actor, ImporterKind, Scenario, ScenarioTopology, Slice, Step } from "./scenario.js";
export { catalogue } from "./scenarios/index.js";

/** The contracts that have a column, in order. */
export const contracts: readonly Contract[] = columns.map((c) => c.contract);
