/** Which scenarios of a comparison to show. A row stays whole: what it is compared with is what it is read for. */
import type { Basis, Blame, Comparison, Result, VerdictKind } from "@dma-buf/compare";
import { InputError } from "../errors.js";
import { rowsOf, verdictText } from "../verdict.js";

export interface Filter {
  /** Rows with a cell that has one of each that is named. */
  readonly verdict?: readonly VerdictKind[];
  readonly blame?: readonly Blame[];
  readonly basis?: readonly Basis[];
  /** Rows that one of these packages plays in; `@dma-buf/` may be left out. */
  readonly package?: readonly string[];
  /** Rows in which the conforming verdicts of two contracts differ; their ids. */
  readonly differ?: readonly [string, string];
  /** `false`: without the rows in which somebody breaks a rule on purpose. */
  readonly faults?: boolean;
}

export function filtered(comparison: Comparison, filter: Filter): Comparison {
  const known = [...new Set(comparison.results.flatMap((r) => r.packages))].toSorted();
  const packages = filter.package?.map((word) => packageNamed(word, known));
  const isShown = (row: readonly Result[]): boolean =>
    (filter.faults !== false || row[0]?.fault === null) &&
    (!packages || row.some((r) => r.packages.some((name) => packages.includes(name)))) &&
    (!filter.differ || differ(row, filter.differ)) &&
    row.some((r) => isLike(r, filter));
  return { ...comparison, results: rowsOf(comparison.results).filter(isShown).flat() };
}

/** In words, as they were given; empty: nothing is left out. */
export function filterText({ faults, ...lists }: Filter): string {
  const words = Object.entries(lists).map(([name, values]) => `--${name} ${values.join(",")}`);
  return [...words, ...(faults === false ? ["--no-faults"] : [])].join(" ");
}

function isLike({ conforming, blame, basis }: Result, filter: Filter): boolean {
  return (
    (filter.verdict?.includes(conforming.verdict) ?? true) &&
    (filter.blame?.includes(blame) ?? true) &&
    (filter.basis?.includes(basis) ?? true)
  );
}

function differ(row: readonly Result[], ids: readonly [string, string]): boolean {
  const [a, b] = ids.map((id) => row.find((r) => r.contract === id));
  return a !== undefined && b !== undefined && verdictText(a.conforming) !== verdictText(b.conforming);
}

function packageNamed(word: string, known: readonly string[]): string {
  const found = known.find((name) => name === word || name === `@dma-buf/${word}`);
  if (!found) throw new InputError(`no package ${word} plays in these scenarios. There are ${known.join(", ")}`);
  return found;
}
