/** A comparison as data: what can be sent to another thread, which loads the modules itself. */
import type { Capture } from "@dma-buf/pci";
import { readScenarios } from "./catalogue.js";
import { chosen, type CompareOptions, UsageError } from "./compare.js";
import type { Runnable } from "./contained.js";
import { loadModules, type ModuleNames } from "./modules.js";
import type { Orders } from "./orders.js";
import { planRow } from "./plan.js";
import type { Scenario } from "./scenario/scenario.js";

export interface CompareRequest extends ModuleNames {
  /** The host; without one every scenario runs on the catalogue's topology. */
  readonly capture?: Capture;
  /** Directories of scenarios, instead of the catalogue that comes with this package. */
  readonly scenarioDirs?: readonly string[];
  /** Ids; all without. */
  readonly scenarios?: readonly string[];
  /** Ids, of ours and of modules; all without. */
  readonly contracts?: readonly string[];
  /** @defaultValue "default" */
  readonly orders?: Orders;
}

/** What a request comes to, with nothing run yet. */
export interface Prepared {
  readonly machine: string;
  readonly contracts: readonly string[];
  readonly scenarios: readonly Scenario[];
  /** The cells of a scenario, in the order of the columns. */
  row(scenario: Scenario): readonly Runnable[];
}

/** @throws UsageError, ScenarioError */
export async function prepare(request: CompareRequest): Promise<Prepared> {
  const { columns: own, guests } = await loadModules(request);
  const { capture, scenarios, contracts, orders } = request;
  const options = { capture, scenarios, contracts, orders, columns: own, catalogue: catalogueOf(request) };
  const { columns, host, machine, scenarios: wanted } = chosen(given(options));
  const plan = { columns, host, orders, guests };
  return {
    machine,
    contracts: columns.map((column) => column.contract.id),
    scenarios: wanted,
    row: (scenario) => planRow(plan, scenario),
  };
}

/** @throws ScenarioError; UsageError for an id that two directories have */
export function catalogueOf({ scenarioDirs }: Pick<CompareRequest, "scenarioDirs">): readonly Scenario[] {
  if (!scenarioDirs) return readScenarios();
  const all = scenarioDirs.flatMap((directory) => readScenarios(directory));
  const twice = all.find(({ id }, i) => all.findIndex((other) => other.id === id) !== i);
  if (twice)
    throw new UsageError(
      `${twice.file}: ${twice.id} is the id of a scenario in another directory as well: give each its own`,
    );
  return all;
}

/** Does code of somebody else run? */
export function hasModules({ contractModules, exporterModules, importerModules }: ModuleNames): boolean {
  return [contractModules, exporterModules, importerModules].some((names) => (names?.length ?? 0) > 0);
}

/** Without the fields that were not given. */
function given(options: { readonly [K in keyof CompareOptions]: CompareOptions[K] | undefined }): CompareOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
