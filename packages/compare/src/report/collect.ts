/** What a report is made of, in one pass: each cell's result, and the traces of its runs. */
import { chosen, type CompareOptions } from "../compare.js";
import { planRow } from "../plan.js";
import { compareInParallel, type OnResult } from "../pool.js";
import { catalogueOf, type CompareRequest } from "../request.js";
import type { Comparison, Explanation, Result } from "../result.js";
import { readReferences, type References } from "../references.js";
import type { Scenario } from "../scenario/scenario.js";
import { played, type TracedRequest, type TracedResult } from "./traced.js";

/** What a scenario asks, beside its results. */
export type Asked = Pick<Scenario, "id" | "title" | "question" | "source">;

export interface Collected {
  readonly comparison: Comparison;
  /** Of each cell the conforming run, and the posted one where somebody posted it. */
  readonly explanations: readonly Explanation[];
  readonly scenarios: readonly Asked[];
  readonly references: References;
}

/**
 * As `compare()`, and keeps the trace of each cell's worst and shortest order.
 * @throws UsageError as `compare()`
 * @example
 * collect({ scenarios: ["S34c"], contracts: ["pfn"] }).explanations.map((e) => e.run); // ["conforming"]
 */
export function collect(options: CompareOptions = {}): Collected {
  const { scenarios, columns, host, machine } = chosen(options);
  const { orders, guests } = options;
  const cells = scenarios.flatMap((scenario) => planRow({ columns, host, orders, guests }, scenario));
  const results = cells.map((cell) => played(cell, { isTraced: true }));
  const contracts = columns.map((c) => c.contract.id);
  return collected({ schemaVersion: 2, machine, contracts, results }, scenarios);
}

/**
 * As `compareInParallel()`, with the traces: a cell that does not come back is a verdict here too.
 * @throws UsageError, ScenarioError
 * @example
 * const { explanations } = await collectInParallel({ scenarios: ["S34c"], contracts: ["pfn"] });
 * explanations.map((e) => e.run); // ["conforming"]
 */
export async function collectInParallel(request: CompareRequest = {}, onResult?: OnResult): Promise<Collected> {
  const catalogue = catalogueOf(request);
  const traced: TracedRequest = { ...request, isTraced: true };
  return collected(await compareInParallel(traced, onResult), catalogue);
}

/**
 * @param comparison its results have their runs with them, but for those of cells that broke down
 * @param catalogue the scenarios of the results, and perhaps others
 */
function collected({ results, ...comparison }: Comparison, catalogue: readonly Scenario[]): Collected {
  const cells = results.map((result) => {
    const { runs = [], ...own } = result as Result & Partial<TracedResult>;
    return { result: own, explanations: runs.map((run) => ({ ...run, result: own })) };
  });
  return {
    comparison: { ...comparison, results: cells.map((c) => c.result) },
    explanations: cells.flatMap((c) => c.explanations),
    scenarios: [...new Set(results.map((r) => r.scenario))].map((id) => askedBy(id, catalogue)),
    references: readReferences(),
  };
}

function askedBy(id: string, catalogue: readonly Scenario[]): Asked {
  const { title, question, source } = catalogue.find((scenario) => scenario.id === id) as Scenario;
  return { id, title, question, source };
}
