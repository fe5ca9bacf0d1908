/** `dma-buf compare`: scenarios under contracts, shown, filtered, written to a file. */
import { BASES, BLAMES, type Comparison, VERDICTS } from "@dma-buf/compare";
import { filtered, type Filter, filterText } from "../comparison/filter.js";
import { renderComparison } from "../comparison/render.js";
import { contractWords, isModule } from "../contract-words.js";
import { InputError } from "../errors.js";
import { play } from "../playing.js";
import { isUnexpected } from "../verdict.js";
import { details, list, listOf, pair } from "../words.js";
import type { Cli } from "./cli.js";
import { addWorldOptions, requestOf, type WorldOptions } from "./options.js";

export interface CompareOptions extends WorldOptions {
  readonly scenario?: readonly string[];
  readonly contract?: readonly string[];
  readonly package?: Filter["package"] & {};
  readonly verdict?: Filter["verdict"] & {};
  readonly blame?: Filter["blame"] & {};
  readonly basis?: Filter["basis"] & {};
  readonly differ?: readonly [string, string];
  /** commander's: `--no-faults` makes it false. */
  readonly faults: boolean;
  readonly details: number;
  readonly json?: boolean;
}

/** Scenarios that are told with what decided, unless somebody asks for more. */
const DETAILS = 10;

export function addCompareCommand(cli: Cli): void {
  addWorldOptions(cli.command("compare", "run scenarios under contracts and show what happened, side by side"))
    .option("--contract <ids>", "these contracts: ids, `all`, or a module of yours, as ./mine.mjs; without it, dma-address,pfn", list)
    .option("--scenario <ids>", "only these scenarios", list)
    .option("--package <names>", "only scenarios that one of these packages plays in", list)
    .option("--verdict <verdicts>", "only scenarios with a cell of one of these verdicts", listOf(VERDICTS))
    .option("--blame <parties>", "only scenarios with a cell that is one of these parties' doing", listOf(BLAMES))
    .option("--basis <bases>", "only scenarios with a cell whose expectation rests on one of these", listOf(BASES))
    .option("--differ <A,B>", "only scenarios that end differently under these two", pair)
    .option("--no-faults", "without scenarios in which somebody breaks a rule on purpose")
    .option("--details <n>", "how many scenarios to tell with what decided: all, none, or a number", details, DETAILS)
    .action(async (options: CompareOptions) => {
      const began = cli.io.now();
      const played = await playOf(options, cli);
      const filter = filterOf(options, played);
      const shown = filtered(played, filter);
      const seconds = ((cli.io.now() - began) / 1000).toFixed(2);
      cli.print(
        options.json,
        () => shown,
        () => `${renderComparison(shown, cli.io, { details: options.details, filter: filterText(filter) })}\n${played.results.length} cells in ${seconds} s.`,
      );
      cli.exit(shown.results.some(isUnexpected) ? 1 : 0);
    });
}

function playOf(options: CompareOptions, cli: Cli): Promise<Comparison> {
  const { ids, modules } = contractWords(options.contract ?? options.differ);
  return play(
    {
      ...requestOf(options),
      contracts: ids,
      ...(modules.length > 0 ? { contractModules: modules } : {}),
      ...(options.scenario ? { scenarios: options.scenario } : {}),
    },
    cli.io,
  );
}

function filterOf(options: CompareOptions, played: Comparison): Filter {
  const { package: packages, verdict, blame, basis, differ, faults } = options;
  return {
    ...(packages ? { package: packages } : {}),
    ...(verdict ? { verdict } : {}),
    ...(blame ? { blame } : {}),
    ...(basis ? { basis } : {}),
    ...(differ ? { differ: [columnOf(differ[0], options, played), columnOf(differ[1], options, played)] } : {}),
    faults,
  };
}

/** The id of the column that a word of `--differ` names. */
function columnOf(word: string, { contract, differ }: CompareOptions, { contracts }: Comparison): string {
  const { ids, modules } = contractWords(contract ?? differ);
  const id = isModule(word) ? contracts[ids.length + modules.indexOf(word)] : word;
  if (id !== undefined && contracts.includes(id)) return id;
  throw new InputError(`--differ ${word}: is not among the contracts shown. Choose from ${contracts.join(", ")}`);
}
