/**
 * Scenarios under contracts, side by side: what happened, why, and whose doing it is.
 *
 * @packageDocumentation
 */
export type { Column, Factory, Players } from "./column.js";
export { columns } from "./columns/index.js";
export { readScenarios } from "./catalogue.js";
export { compare, type CompareOptions, explain, type ExplainOptions, UsageError } from "./compare.js";
export {
  BASES,
  type Basis,
  type Blame,
  BLAMES,
  type Comparison,
  type Expected,
  type Explanation,
  type Result,
  type Rule,
  type Schedules,
  type Verdict,
  type VerdictKind,
  VERDICTS,
} from "./result.js";
export { unknownContract } from "./scenario/contract-ids.js";
export { ScenarioError } from "./scenario/error.js";
export { readScenario } from "./scenario/read.js";
export type {
  ActorSpec,
  Position,
  Reading,
  Scenario,
  ScenarioCell,
  ScenarioTopology,
  Step,
} from "./scenario/scenario.js";
export { verdictText } from "./scenario/verdict-text.js";
export { versus, type Side, type Versus, type VersusOptions } from "./versus.js";
export { compareInParallel, type OnResult, type PoolOptions } from "./pool.js";
export type { CompareRequest } from "./request.js";
export { loadModules, type Loaded, type ModuleNames, nearest } from "./modules.js";
export type { Guest } from "./players.js";
export { type Orders, ORDERS_MAX } from "./orders.js";
export { badness } from "./judge.js";
export { groupBy } from "./report/group-by.js";
export { collect, collectInParallel, type Asked, type Collected } from "./report/collect.js";
export { meaningsOf } from "./report/meanings.js";
export { renderHtml, type ReportInput } from "./report/html-report.js";
export { type MarkdownOptions, renderMarkdown } from "./report/markdown.js";
export { type ChromeEvent, type ChromeTrace, perfettoTrace } from "./report/perfetto.js";
export type { AccessEvidence, EntryEvidence, Evidence, LookupEvidence, TopologyNode } from "./evidence.js";
export type { CatalogueRule, References } from "./references.js";
