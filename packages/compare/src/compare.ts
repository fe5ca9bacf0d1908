/** The comparison: every scenario under every contract, on one machine. */
import type { Contract } from "@dma-buf/core";
import { topologyOf, type Capture, type Topology } from "@dma-buf/pci";
import { readScenarios } from "./catalogue.js";
import type { Column } from "./column.js";
import { columns as ours } from "./columns/index.js";
import type { Runnable } from "./contained.js";
import type { Orders } from "./orders.js";
import { planRow } from "./plan.js";
import type { Guest } from "./players.js";
import type { Comparison, Explanation } from "./result.js";
import { unknownContract } from "./scenario/contract-ids.js";
import { checkContracts } from "./scenario/other-contracts.js";
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

export interface ExplainOptions extends Omit<CompareOptions, "scenarios" | "contracts"> {
  readonly scenario: string;
  readonly contract: string;
  /** @defaultValue "conforming" */
  readonly run?: Explanation["run"];
}

/**
 * One cell with the trace of its worst and shortest order.
 * @throws UsageError for ids that do not exist, for what cannot be built, and where none of the guests plays
 */
export function explain({ scenario, contract, run = "conforming", ...rest }: ExplainOptions): Explanation {
  const [chosenCell] = cellsOf(scenario, [contract], rest) as [ChosenCell];
  const { result, traced } = showing(chosenCell.cell, run);
  return { schemaVersion: 2, result, run, ...traced };
}

interface ChosenCell {
  readonly contract: Contract;
  readonly cell: Runnable;
}

/** The cells of one scenario under the contracts that are named, in that order. @throws UsageError */
export function cellsOf(id: string, contracts: readonly string[], options: CompareOptions): readonly ChosenCell[] {
  const { scenarios, columns, host } = chosen({ ...options, scenarios: [id], contracts });
  const { orders, guests } = options;
  return columns.map((column) => {
    const [cell] = planRow({ columns: [column], host, orders, guests }, scenarios[0] as Scenario);
    if (cell) return { contract: column.contract, cell };
    const names = (guests ?? []).map((guest) => guest.plugin.name).join(", ");
    throw new UsageError(
      `${names} plays no part in ${id} under ${column.contract.id}: choose a contract that it declares, and a scenario with its part`,
    );
  });
}

/** A cell with one of its runs. @throws UsageError where there is no such run */
export function showing(cell: Runnable, run: Explanation["run"]) {
  const result = cell.result();
  const traced = cell.trace(run);
  if (traced) return { result, traced };
  const { scenario, contract, conforming, rule } = result;
  const where = `${scenario} under ${contract}`;
  if (run === "asPosted")
    throw new UsageError(`${where} has no posted run: nobody posted that pair. Leave out --posted`);
  if (conforming.verdict === "NA") throw new UsageError(`${scenario} cannot be built under ${contract}: ${rule.text}`);
  throw new UsageError(`${where} has no run to show: ${rule.text}`);
}

/** What options name. @throws UsageError for what there is none of, ScenarioError for a slip in the id of a contract */
export function chosen(options: CompareOptions) {
  const { catalogue = readScenarios(), capture, orders = "default" } = options;
  if (typeof orders === "number" && !(Number.isSafeInteger(orders) && orders >= 1))
    throw new UsageError(`orders must be default, all, or a whole number from 1 on, is ${orders}`);
  const all = withOwn(options.columns);
  const ids = all.map(idOf);
  for (const scenario of catalogue) checkContracts(scenario, ids);
  return {
    scenarios: choose(catalogue, (s) => s.id, unknownScenario, options.scenarios),
    columns: choose(all, idOf, unknownContract, options.contracts),
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
  const ids = all.map(idOf);
  const twice = ids.find((id, i) => ids.indexOf(id) !== i);
  if (twice) throw new UsageError(`two columns are called ${twice}: give your contract an id of its own`);
  return all;
}

function idOf({ contract }: Column): string {
  return contract.id;
}

/** @param unknown what to say of an id that none of them has */
function choose<T>(
  all: readonly T[],
  nameOf: (item: T) => string,
  unknown: (id: string, ids: readonly string[]) => string,
  ids: readonly string[] | undefined,
): readonly T[] {
  if (!ids) return all;
  return ids.map((id) => {
    const found = all.find((item) => nameOf(item) === id);
    if (!found) throw new UsageError(unknown(id, all.map(nameOf)));
    return found;
  });
}

/** Of many ids those that begin alike, else the first ones. */
function unknownScenario(id: string, ids: readonly string[]): string {
  const unknown = `unknown scenario ${JSON.stringify(id)}`;
  const few = 12;
  if (ids.length <= few) return `${unknown}: choose from ${ids.join(", ")}`;
  const alike = ids.filter((one) => one.toLowerCase().startsWith(id.slice(0, 3).toLowerCase()));
  const shown = (alike.length > 0 ? alike : ids).slice(0, few);
  return `${unknown}: choose from ${shown.join(", ")} (${ids.length} in all: dma-buf scenarios lists them)`;
}
