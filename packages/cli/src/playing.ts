/** Playing a comparison, with a bar while it lasts. */
import { compare, type Comparison, loadModules, readScenarios } from "@dma-buf/compare";
import type { Capture } from "@dma-buf/pci";
import type { Io } from "./io.js";
import { progress } from "./progress.js";

export interface Request {
  readonly capture: Capture;
  readonly scenarioDirs?: readonly string[];
  readonly scenarios?: readonly string[];
  readonly contracts?: readonly string[];
  readonly contractModules?: readonly string[];
  readonly exporterModules?: readonly string[];
  readonly importerModules?: readonly string[];
  readonly orders?: "default" | "all" | number;
}

export async function play(request: Request, io: Io): Promise<Comparison> {
  const bar = progress(io);
  const { scenarioDirs, capture, scenarios, contracts = [], orders } = request;
  const { columns, guests } = await loadModules(request);
  const catalogue = scenarioDirs?.flatMap((dir) => readScenarios(dir));
  try {
    return compare({
      capture,
      columns,
      guests,
      contracts: [...contracts, ...columns.map((c) => c.contract.id)],
      ...(catalogue ? { catalogue } : {}),
      ...(scenarios ? { scenarios } : {}),
      ...(orders === undefined ? {} : { orders }),
    });
  } finally {
    bar.end();
  }
}
