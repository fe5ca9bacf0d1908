/** The comparison: every scenario under every contract, on one machine. */
import { topologyOf, type Capture, type Topology } from "@dma-buf/pci";
import { readScenarios } from "./catalogue.js";
import type { Cell } from "./cell.js";
import type { Column } from "./column.js";
import { columns as ours } from "./columns/index.js";
import type { Orders } from "./orders.js";
import { planRow } from "./plan.js";
import type { Guest } from "./players.js";
import type { Comparison, Explanation } from "./result.js";
import { row } from "./row.js";
import type { Scenario } from "./scenario/scenario.js";

/** Bad use: the message names the value, the rule and the remedy. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

export interface CompareOptions {
  /** The host; without one every scenario runs on the catalogue's topology. */
  readonly capture?: Capture;
  /** What to choose from. @defaultValue the catalogue that comes with this package */
  readonly catalogue?: readonly Scenario[];
  /** Ids; all without. @throws UsageError for one that does not exist */
  readonly scenarios?: readonly string[];
  readonly contracts?: readonly string[];
  /** Which orders of a race are tried. @defaultValue "default" */
  readonly orders?: Orders;
  /** Columns of yours, after ours. @throws UsageError when one has the id of another */
  readonly columns?: readonly Column[];
  /** Packages of yours in the place of ours; then only the cells are run in which one of them plays. */
  readonly guests?: readonly Guest[];
}

/**
 * Runs scenarios under contracts. Builds a machine for each order of each cell; changes nothing outside.
 * @example
 * const { results } = compare({ scenarios: ["S34c"], contracts: ["dma-address", "pfn"] });
 * results.map((r) => `${r.contract} ${r.conforming.verdict}`); // ["dma-address OK", "pfn STALE"]
 */
export function compare(options: CompareOptions = {}): Comparison {
  const { scenarios, columns, host, machine } = chosen(options);
  const results = scenarios.flatMap((scenario) => {
    const cells = planRow({ columns, host, orders: options.orders, guests: options.guests }, scenario);
    return cells.map((cell) => cell.result());
  });
  return { schemaVersion: 2, machine, contracts: columns.map((c) => c.contract.id), results };
}

export interface ExplainOptions extends Pick<CompareOptions, "capture" | "catalogue" | "columns"> {
  readonly scenario: string;
  readonly contract: string;
  /** @defaultValue "conforming" */
  readonly run?: Explanation["run"];
}

/** One cell with the trace of its worst and shortest order. @throws UsageError for ids that do not exist, or NA. */
export function explain({ scenario: id, contract, run = "conforming", ...rest }: ExplainOptions): Explanation {
  const { scenarios, columns, host } = chosen({ ...rest, scenarios: [id], contracts: [contract] });
  const [cell] = row(scenarios[0] as Scenario, columns, host) as [Cell];
  const traced = cell.trace(run);
  if (!traced)
    throw new UsageError(
      run === "asPosted"
        ? `${id} under ${contract} has no posted run: nobody posted that pair. Leave out --posted`
        : `${id} cannot be built under ${contract}: ${cell.result().rule.text}`,
    );
  return { schemaVersion: 2, result: cell.result(), run, ...traced };
}

/** What options name. @throws UsageError for what there is none of */
export function chosen(options: CompareOptions) {
  const { catalogue = readScenarios(), capture } = options;
  return {
    scenarios: choose("scenario", catalogue, (s) => s.id, options.scenarios),
    columns: choose("contract", withOwn(options.columns), (c) => c.contract.id, options.contracts),
    host: hostOf(capture),
    machine: capture?.source ?? "the catalogue's topologies",
  };
}

/** @throws UsageError for a capture in which nobody could be anybody's peer */
function hostOf(capture: Capture | undefined): Topology | null {
  if (!capture) return null;
  const devices = capture.functions.filter((f) => !f.bridge && f.className !== "Host bridge");
  if (new Set(devices.map((f) => f.address.slice(0, -2))).size < 2)
    throw new UsageError(
      `${capture.source}: ${devices[0]?.address ?? "no function"} has no second device beside it, and an importer needs one. ` +
        "Save the output of `sudo lspci -vvv` whole",
    );
  return topologyOf(capture);
}

function withOwn(own: readonly Column[] = []): readonly Column[] {
  const all = [...ours, ...own];
  const ids = all.map((c) => c.contract.id);
  const twice = ids.find((id, i) => ids.indexOf(id) !== i);
  if (twice) throw new UsageError(`two columns are called ${twice}: give your contract an id of its own`);
  return all;
}

function choose<T>(
  what: string,
  all: readonly T[],
  idOf: (item: T) => string,
  ids: readonly string[] | undefined,
): readonly T[] {
  if (!ids) return all;
  return ids.map((id) => {
    const found = all.find((item) => idOf(item) === id);
    if (!found) throw new UsageError(`unknown ${what} ${JSON.stringify(id)}: choose from ${all.map(idOf).join(", ")}`);
    return found;
  });
}
