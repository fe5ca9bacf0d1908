/**
 * Scenarios under contracts, side by side: what happened, why, and whose doing it is.
 *
 * @packageDocumentation
 */
export { type Column, columns } from "./columns.js";
export { compare, type CompareOptions, explain, type ExplainOptions, UsageError } from "./compare.js";
export type { Blame, Comparison, Expected, Explanation, Result, Schedules, Verdict, VerdictKind } from "./result.js";
export type { Actor, ImporterKind, Scenario, ScenarioTopology, Slice, Step } from "./scenario.js";
export { catalogue } from "./scenarios/index.js";
