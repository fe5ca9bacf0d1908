/** `dma-buf explain`: one cell, event by event; or two, up to where they part. */
import { explain, versus } from "@dma-buf/compare";
import { columnNamed } from "../columns.js";
import { isModule } from "../contract-words.js";
import { InputError } from "../errors.js";
import { renderExplanation } from "../explanation.js";
import { checkTraceFile, writeTrace } from "../report-file.js";
import { renderVersus } from "../versus.js";
import type { Cli } from "./cli.js";
import { addPlayOptions, type PlayOptions, tracedOptions } from "./options.js";

interface Options extends PlayOptions {
  readonly contract: string;
  readonly versus?: string;
  readonly posted?: boolean;
  readonly trace?: string;
  readonly json?: boolean;
}

export function addExplainCommand(cli: Cli): void {
  addPlayOptions(cli.command("explain", "show what happened in one cell, in order"))
    .argument("<scenario>", "its id")
    .requiredOption("--contract <id>", "under which contract: an id, or a module of yours")
    .option("--versus <id>", "and under which other one: show the first step at which the two part")
    .option("--posted", "the code that was posted instead of the best that conforms")
    .option("--trace <file>", "write the run to a file *.json, for Perfetto")
    .action((scenario: string, options: Options) =>
      options.versus === undefined ? one(cli, scenario, options) : two(cli, scenario, options, options.versus),
    );
}

async function one(cli: Cli, scenario: string, options: Options): Promise<void> {
  if (options.trace !== undefined) checkTraceFile(options.trace);
  const column = await columnNamed(options.contract);
  const found = explain({
    ...(await tracedOptions(options)),
    ...(isModule(options.contract) ? { columns: [column] } : {}),
    scenario,
    contract: column.contract.id,
    run: options.posted ? "asPosted" : "conforming",
  });
  if (options.trace !== undefined) writeTrace(options.trace, found, cli);
  cli.print(
    options.json,
    () => found,
    () => renderExplanation(found, cli.io),
  );
}

async function two(cli: Cli, scenario: string, options: Options, other: string): Promise<void> {
  if (options.posted) throw new InputError("--versus sets conforming runs against each other: leave out --posted");
  if (options.trace !== undefined) throw new InputError("--trace writes one run: leave out --versus");
  const [first, second] = [await columnNamed(options.contract), await columnNamed(other)];
  const own = [options.contract, other].flatMap((word, i) => (isModule(word) ? [i === 0 ? first : second] : []));
  const found = versus({
    ...(await tracedOptions(options)),
    columns: own,
    scenario,
    contract: first.contract.id,
    versus: second.contract.id,
  });
  cli.print(
    options.json,
    () => found,
    () => renderVersus(found, cli.io),
  );
}
