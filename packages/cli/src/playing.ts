/** Playing a comparison, with a bar while it lasts. */
import { compare, type Comparison, readScenarios } from "@dma-buf/compare";
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
  const { scenarioDirs, capture, scenarios, contracts } = request;
  const catalogue = scenarioDirs?.flatMap((dir) => readScenarios(dir));
  try {
    return compare({ capture, ...(catalogue ? { catalogue } : {}), ...(scenarios ? { scenarios } : {}), ...(contracts ? { contracts } : {}) });
  } finally {
    bar.end();
  }
}
