/** `dma-buf compare`: scenarios under contracts, shown, filtered, written to a file. */
import { BASES, BLAMES, type CompareRequest, type Comparison, VERDICTS } from "@dma-buf/compare";
import { checkId } from "../columns.js";
import { filtered, type Filter, filterText } from "../comparison/filter.js";
import { renderComparison } from "../comparison/render.js";
import { type ContractWords, contractWords, isModule, modulePath, namedWords } from "../contract-words.js";
import { InputError } from "../errors.js";
import { play, playTraced } from "../playing.js";
import { type ForPage, type ReportKind, reportKind, reportText, writeReport } from "../report-file.js";
import { asComparison, gatherSeries, proposalOf } from "../series/gather.js";
import { isUnexpected } from "../verdict.js";
import { details, list, listOf, pair } from "../words.js";
import type { Cli } from "./cli.js";
import { explainCommand } from "./explain-command.js";
import { addPlayOptions, type PlayOptions, requestOf } from "./options.js";

export interface CompareOptions extends PlayOptions {
  readonly scenario?: readonly string[];
  readonly contract?: readonly string[];
  readonly package?: Filter["package"] & {};
  readonly verdict?: Filter["verdict"] & {};
  readonly blame?: Filter["blame"] & {};
  readonly basis?: Filter["basis"] & {};
  readonly differ?: readonly [string, string];
  /** commander's: `--no-faults` makes it false. */
  readonly faults: boolean;
  readonly base?: string;
  readonly since?: string;
  readonly changedOnly?: boolean;
  readonly report?: string;
  readonly details: number;
  readonly json?: boolean;
}

/** Scenarios that are told with what decided, unless somebody asks for more. */
const DETAILS = 10;

export function addCompareCommand(cli: Cli): void {
  addPlayOptions(cli.command("compare", "run scenarios under contracts and show what happened, side by side"))
    .option(
      "--contract <ids>",
      "these contracts: ids, `all`, or a module of yours, as ./mine.mjs; without it, dma-address,pfn",
      list,
    )
    .option("--scenario <ids>", "only these scenarios", list)
    .option("--package <names>", "only scenarios that one of these packages plays in", list)
    .option("--verdict <verdicts>", "only scenarios with a cell of one of these verdicts", listOf(VERDICTS))
    .option("--blame <parties>", "only scenarios with a cell that is one of these parties' doing", listOf(BLAMES))
    .option("--basis <bases>", "only scenarios with a cell whose expectation rests on one of these", listOf(BASES))
    .option("--differ <A,B>", "only scenarios that end differently under these two", pair)
    .option("--no-faults", "without scenarios in which somebody breaks a rule on purpose")
    .option("--base <contract>", "what a proposal, the one --contract, is set against")
    .option("--since <contract>", "the revision before of the same proposal")
    .option("--changed-only", "only scenarios that end differently under the proposal")
    .option("--report <file>", "write it to a file: *.html, *.md, or with --base *.txt, to be mailed")
    .option("--details <n>", "how many scenarios to tell with what decided: all, none, or a number", details, DETAILS)
    .action((options: CompareOptions) => runCompare(options, cli));
}

async function runCompare(options: CompareOptions, cli: Cli): Promise<void> {
  const began = cli.io.now();
  const kind = checked(options);
  const series = isSeries(options) && kind !== ".html" ? await gatherSeries(options, cli) : null;
  const collected = kind === ".html" ? await collectOf(options, cli) : null;
  const played = series ? asComparison(series) : (collected?.comparison ?? (await playOf(options, cli)));
  const filter = filterOf(options, played);
  const shown = filtered(played, filter);
  const seconds = ((cli.io.now() - began) / 1000).toFixed(2);
  const report = kind && reportText(kind, { shown, series, collected }, cli);
  if (report !== null) writeReport(options.report as string, report, cli);
  cli.print(
    options.json,
    () => shown,
    () => {
      const text = renderComparison(shown, cli.io, { details: options.details, filter: filterText(filter) });
      return `${kind === ".txt" ? report : `${text}\n`}${played.results.length} ${played.results.length === 1 ? "cell" : "cells"} in ${seconds} s.`;
    },
  );
  cli.exit(shown.results.some(isUnexpected) ? 1 : 0);
}

function isSeries({ base, since }: CompareOptions): boolean {
  return base !== undefined || since !== undefined;
}

/** What can be refused before anything is run. */
function checked(options: CompareOptions): ReportKind | null {
  const { report, changedOnly, base, since, contract, differ } = options;
  if (changedOnly && !isSeries(options))
    throw new InputError("--changed-only: changed against what? Add --base CONTRACT, or --since MODULE");
  if (isSeries(options)) proposalOf(options);
  const named = [...(contract ?? differ ?? []), base ?? [], since ?? []].flat();
  namedWords(named).ids.forEach(checkId);
  if (report === undefined) return null;
  const kind = reportKind(report);
  if (kind === ".txt" && !isSeries(options))
    throw new InputError(
      `${report}: a *.txt says what a proposal changes. Add --base CONTRACT, or name an *.html or *.md`,
    );
  return kind;
}

/** With the trace of every cell, which a page shows. */
async function collectOf(options: CompareOptions, cli: Cli): Promise<ForPage> {
  const words = isSeries(options) ? namedWords(Object.values(proposalOf(options))) : shownWords(options);
  const collected = await playTraced(playRequest(options, words), cli.io);
  const { ids, modules } = words;
  const own = new Map(modules.map((module, i) => [collected.comparison.contracts[ids.length + i] as string, module]));
  return { ...collected, explain: explainCommand(options, own) };
}

function playOf(options: CompareOptions, cli: Cli): Promise<Comparison> {
  return play(playRequest(options, shownWords(options)), cli.io);
}

function shownWords({ contract, differ }: CompareOptions): ContractWords {
  return contractWords(contract ?? differ);
}

function playRequest(options: CompareOptions, { ids, modules }: ContractWords): CompareRequest {
  return {
    ...requestOf(options),
    contracts: ids,
    ...(modules.length > 0 ? { contractModules: modules } : {}),
    ...(options.scenario ? { scenarios: options.scenario } : {}),
  };
}

function filterOf(options: CompareOptions, played: Comparison): Filter {
  const { package: packages, verdict, blame, basis, differ, faults, changedOnly } = options;
  return {
    ...(packages ? { package: packages } : {}),
    ...(verdict ? { verdict } : {}),
    ...(blame ? { blame } : {}),
    ...(basis ? { basis } : {}),
    ...(differ ? { differ: [columnOf(differ[0], options, played), columnOf(differ[1], options, played)] } : {}),
    ...(changedOnly ? { differ: played.contracts as readonly [string, string] } : {}),
    faults,
  };
}

/** The id of the column that a word of `--differ` names. */
function columnOf(word: string, options: CompareOptions, { contracts }: Comparison): string {
  const { ids, modules } = shownWords(options);
  const id = isModule(word) ? contracts[ids.length + modules.indexOf(modulePath(word))] : word;
  if (id !== undefined && contracts.includes(id)) return id;
  throw new InputError(`--differ ${word}: is not among the contracts shown. Choose from ${contracts.join(", ")}`);
}
