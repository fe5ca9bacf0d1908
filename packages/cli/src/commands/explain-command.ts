/** One cell of a comparison as a command of its own. */
import type { Result } from "@dma-buf/compare";
import { shellWords } from "../series/shell.js";
import type { PlayOptions } from "./options.js";

/**
 * With the options under which the comparison was run.
 * @param modules of contracts of yours, by the contract's id
 */
export function explainCommand(options: PlayOptions, modules: ReadonlyMap<string, string>): (result: Result) => string {
  const { machine, scenarios = [], exporter = [], importer = [], orders } = options;
  const world = [
    ...(machine === undefined ? [] : ["--machine", machine]),
    ...scenarios.flatMap((directory) => ["--scenarios", directory]),
    ...exporter.flatMap((module) => ["--exporter", module]),
    ...importer.flatMap((module) => ["--importer", module]),
    ...(orders === undefined ? [] : ["--orders", String(orders)]),
  ];
  return ({ scenario, contract }) =>
    ["dma-buf", ...shellWords(["explain", scenario, "--contract", modules.get(contract) ?? contract, ...world])].join(
      " ",
    );
}
