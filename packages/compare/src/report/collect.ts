/** What a report is made of, in one pass: each cell's result, and the traces of its runs. */
import { chosen, type CompareOptions } from "../compare.js";
import type { Runnable } from "../contained.js";
import { planRow } from "../plan.js";
import type { Comparison, Explanation, Result } from "../result.js";
import { readReferences, type References } from "../references.js";
import type { Scenario } from "../scenario/scenario.js";

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
 * @param seen what `compareInParallel()` found: the cells of it in which somebody's code broke down are not run again here,
 * where what does not come back cannot be stopped
 * @throws UsageError as `compare()`
 * @example
 * collect({ scenarios: ["S34c"], contracts: ["pfn"] }).explanations.map((e) => e.run); // ["conforming"]
 */
export function collect(options: CompareOptions = {}, seen: readonly Result[] = []): Collected {
  const { scenarios, columns, host, machine } = chosen(options);
  const { orders, guests } = options;
  const cells = scenarios.flatMap((scenario) =>
    planRow({ columns, host, orders, guests }, scenario).map((cell) => {
      const lost = cell.strangers.length > 0 && seen.find((r) => r.scenario === scenario.id && breaksDown(r, cell));
      return { cell, result: lost || cell.result(), isLost: Boolean(lost) };
    }),
  );
  const results = cells.map(({ result }) => result);
  return {
    comparison: { schemaVersion: 2, machine, contracts: columns.map((c) => c.contract.id), results },
    explanations: cells.flatMap(({ cell, result, isLost }) => (isLost ? [] : runsOf(cell, result))),
    scenarios: scenarios.map(({ id, title, question, source }) => ({ id, title, question, source })),
    references: readReferences(),
  };
}

/** Is it what {@link Runnable.failed} says? */
function breaksDown({ contract, rule }: Result, cell: Runnable): boolean {
  return contract === cell.contract && rule.id === cell.strangers.join(", ");
}

function runsOf(cell: Runnable, result: Result): readonly Explanation[] {
  return (["conforming", "asPosted"] as const).flatMap((run) => {
    const traced = cell.trace(run);
    return traced ? [{ schemaVersion: 2 as const, result, run, ...traced }] : [];
  });
}
