/** Contracts that a scenario names and that are none of ours: somebody's own, or a slip of the pen. */
import { contracts } from "@dma-buf/core";
import { isPlanned, meant } from "./contract-ids.js";
import { ScenarioError } from "./error.js";
import type { OtherContract, Scenario } from "./scenario.js";
import type { ScenarioFile } from "./schema.js";
import type { Path, SourceMap } from "./source-map.js";

const OURS: readonly string[] = contracts.map((contract) => contract.id);

/** Those of a file. Which is a slip is known when columns are loaded. */
export function otherContracts(source: SourceMap, raw: ScenarioFile): readonly OtherContract[] {
  return contractsNamed(raw)
    .filter(({ id }) => !OURS.includes(id) && !isPlanned(id))
    .map(({ id, path }) => ({ id, field: path.join("."), at: source.position(path) }));
}

function contractsNamed({
  cells,
  unbuildable,
  readings,
}: ScenarioFile): { readonly id: string; readonly path: Path }[] {
  return [
    ...Object.keys(cells).map((id) => ({ id, path: ["cells", id] })),
    ...Object.keys(unbuildable).map((id) => ({ id, path: ["unbuildable", id] })),
    ...readings.flatMap(({ contracts: ids = [] }, i) =>
      ids.map((id, j) => ({ id, path: ["readings", i, "contracts", j] })),
    ),
  ];
}

/**
 * @param columns ids of all columns, also of those of modules
 * @throws ScenarioError for an id that is nearly one of theirs
 */
export function checkContracts({ otherContracts: others = [] }: Scenario, columns: readonly string[]): void {
  for (const { id, field, at } of others) {
    const word = columns.includes(id) ? null : meant(id, columns);
    if (word === null) continue;
    throw new ScenarioError(
      at,
      field,
      `no contract is called ${id}: did you mean ${word}? One of yours is loaded by its module`,
    );
  }
}
