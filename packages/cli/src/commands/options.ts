/** Options that several commands have, and what they come to. */
import { type CompareOptions, type CompareRequest, loadModules, readScenarios } from "@dma-buf/compare";
import type { Command } from "commander";
import { readMachine } from "../input.js";
import { list, orders } from "../words.js";
import { CAPTURE } from "./host.js";

export interface PlayOptions {
  readonly machine?: string;
  readonly scenarios?: readonly string[];
  readonly exporter?: readonly string[];
  readonly importer?: readonly string[];
  readonly orders?: "default" | "all" | number;
}

/** The machine, whose scenarios, who plays, and how hard to try. */
export function addPlayOptions(command: Command): Command {
  return command
    .option("--machine <file>", `${CAPTURE}; without it, a captured laptop`)
    .option("--scenarios <dir>", "scenarios of yours instead of ours: a directory of *.yaml", list)
    .option("--exporter <module>", "a package of yours in place of ours", list)
    .option("--importer <module>", "a package of yours in place of ours", list)
    .option(
      "--orders <n>",
      "orders of a race to try: all of them, a number, or default: at most one preemption, and 24 orders",
      orders,
    );
}

export function requestOf({ machine, scenarios, exporter, importer, orders: tried }: PlayOptions): CompareRequest {
  return {
    capture: readMachine(machine),
    ...(scenarios ? { scenarioDirs: scenarios } : {}),
    ...(exporter ? { exporterModules: exporter } : {}),
    ...(importer ? { importerModules: importer } : {}),
    ...(tried === undefined ? {} : { orders: tried }),
  };
}

/** The same for what is run here, to be traced. @throws UsageError for a module with a mistake */
export async function tracedOptions(options: PlayOptions): Promise<CompareOptions> {
  const { machine, scenarios, exporter = [], importer = [], orders: tried } = options;
  const catalogue = scenarios?.flatMap((dir) => readScenarios(dir));
  const { guests } = await loadModules({ exporterModules: exporter, importerModules: importer });
  return {
    capture: readMachine(machine),
    ...(catalogue ? { catalogue } : {}),
    ...(guests.length > 0 ? { guests } : {}),
    ...(tried === undefined ? {} : { orders: tried }),
  };
}
