/** Options that several commands have, and what they come to. */
import { type CompareOptions, type CompareRequest, readScenarios } from "@dma-buf/compare";
import type { Command } from "commander";
import { readMachine } from "../input.js";

import { list, orders } from "../words.js";
import { CAPTURE } from "./host.js";

export interface WorldOptions {
  readonly machine?: string;
  readonly scenarios?: readonly string[];
}

export interface PlayOptions extends WorldOptions {
  readonly exporter?: readonly string[];
  readonly importer?: readonly string[];
  readonly orders?: "default" | "all" | number;
}

/** The machine, and whose scenarios. */
export function addWorldOptions(command: Command): Command {
  return command
    .option("--machine <file>", `${CAPTURE}; without it, a captured laptop`)
    .option("--scenarios <dir>", "scenarios of yours instead of ours: a directory of *.yaml", list);
}

/** Those, who plays, and how hard to try. */
export function addPlayOptions(command: Command): Command {
  return addWorldOptions(command)
    .option("--exporter <module>", "a package of yours in place of ours", list)
    .option("--importer <module>", "a package of yours in place of ours", list)
    .option(
      "--orders <n>",
      "orders of a race to try: all of them, a number, or default: those with at most 2 preemptions",
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

/** The same for one cell, which is run here. */
export function worldOf({ machine, scenarios }: WorldOptions): Pick<CompareOptions, "capture" | "catalogue"> {
  const catalogue = scenarios?.flatMap((dir) => readScenarios(dir));
  return { capture: readMachine(machine), ...(catalogue ? { catalogue } : {}) };
}
