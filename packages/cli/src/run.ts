/** The `dma-buf` command as a function: words in, text and an exit code out. */
import { catalogue, compare, explain, type Explanation, UsageError } from "@dma-buf/compare";
import { type Contract, contracts } from "@dma-buf/core";
import { CaptureError } from "@dma-buf/pci";
import { Command, CommanderError, InvalidArgumentError } from "commander";
import type { Cli } from "./commands/cli.js";
import { addHostCommands, CAPTURE } from "./commands/host.js";
import { compareContracts, renderContract, renderDifference } from "./contract.js";
import { InputError } from "./errors.js";
import { readMachine } from "./input.js";
import type { Io } from "./io.js";
import { renderComparison, verdictText } from "./table.js";

/** 0: it ran. 1: a cell is not as expected and not contested. 2: bad use or input. */
export type ExitCode = 0 | 1 | 2;

/** @param argv the words after `dma-buf` */
export function run(argv: readonly string[], version: string, io: Io): ExitCode {
  let exit: ExitCode = 0;
  const program = build(version, io, (code) => (exit = code));
  try {
    program.parse([...argv], { from: "user" });
    return exit;
  } catch (error) {
    return failed(error, io);
  }
}

function failed(error: unknown, io: Io): ExitCode {
  // commander has printed its own message; help and version end with 0.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  const expected = error instanceof UsageError || error instanceof InputError || error instanceof CaptureError;
  if (!expected && !(error instanceof Error)) throw error;
  if (!expected && !io.debug) io.err(`dma-buf: this is a bug of ours: ${error.message}. DEBUG=1 shows where\n`);
  else io.err(`dma-buf: ${io.debug ? (error as Error).stack : (error as Error).message}\n`);
  return 2;
}

function build(version: string, io: Io, exit: (code: ExitCode) => void): Command {
  const program = new Command("dma-buf")
    .description("An executable dma-buf: the contracts of the kernel debate, side by side")
    .version(version)
    .exitOverride()
    .configureOutput({ writeOut: io.out, writeErr: io.err })
    .showHelpAfterError("(dma-buf --help lists commands and options)");
  const cli: Cli = {
    io,
    command: (name, text) =>
      program
        .command(name)
        .description(text)
        .option("--json", "print JSON alone")
        .version(version)
        .allowExcessArguments(false),
    print: (json, value, text) => io.out(`${json ? JSON.stringify(value(), null, 2) : text()}\n`),
  };
  addContractCommands(cli, exit);
  addHostCommands(cli);
  return program;
}

function addContractCommands(cli: Cli, exit: (code: ExitCode) => void): void {
  const { io } = cli;
  cli
    .command("compare", "run scenarios under contracts and show what happened, side by side")
    .option("--machine <file>", `${CAPTURE}; without it, a captured laptop`)
    .option("--scenario <ids>", "only these scenarios, separated by commas", ids)
    .option("--contract <ids>", "only these contracts, separated by commas", ids)
    .action((options: { machine?: string; scenario?: string[]; contract?: string[]; json?: boolean }) => {
      const began = io.now();
      const result = compare({
        capture: readMachine(options.machine),
        ...(options.scenario ? { scenarios: options.scenario } : {}),
        ...(options.contract ? { contracts: options.contract } : {}),
      });
      const seconds = ((io.now() - began) / 1000).toFixed(2);
      cli.print(
        options.json,
        () => result,
        () => `${renderComparison(result, io)}\n${result.results.length} cells in ${seconds} s.`,
      );
      exit(result.results.every((r) => r.asExpected || r.contested) ? 0 : 1);
    });

  cli.command("scenarios", "list the scenarios").action((options: { json?: boolean }) => {
    const list = catalogue.map(({ id, title, question, source }) => ({ id, title, question, source }));
    cli.print(
      options.json,
      () => ({ schemaVersion: 1, scenarios: list }),
      () => list.map((s) => `${s.id}  ${s.title}\n      ${s.question}`).join("\n"),
    );
  });

  cli
    .command("explain", "show what happened in one cell, in order")
    .argument("<scenario>", "its id")
    .requiredOption("--contract <id>", "under which contract")
    .option("--machine <file>", `${CAPTURE}; without it, a captured laptop`)
    .option("--posted", "the code that was posted instead of the best that conforms")
    .action((scenario: string, options: { contract: string; machine?: string; posted?: boolean; json?: boolean }) => {
      const which = options.posted ? "asPosted" : "conforming";
      const found = explain({
        capture: readMachine(options.machine),
        scenario,
        contract: options.contract,
        run: which,
      });
      cli.print(
        options.json,
        () => found,
        () => renderExplanation(found),
      );
    });

  cli
    .command("contract", "print a contract, or what one has and another has not")
    .argument("<id>", `one of ${contracts.map((c) => c.id).join(", ")}`)
    .argument("[other]", "the one to set it against")
    .action((id: string, otherId: string | undefined, options: { json?: boolean }) => {
      const first = contractNamed(id);
      const second = otherId === undefined ? null : contractNamed(otherId);
      const value = second ? compareContracts(first, second) : first;
      cli.print(
        options.json,
        () => ({ schemaVersion: 1, ...value }),
        () => (second ? renderDifference(first, second, io) : renderContract(first, io)),
      );
    });
}

function ids(value: string, before: string[] | undefined): string[] {
  const list = value.split(",").map((s) => s.trim());
  if (list.includes("")) throw new InvalidArgumentError("an id is empty: separate ids by single commas");
  return [...(before ?? []), ...list];
}

function contractNamed(id: string): Contract {
  const found = contracts.find((c) => c.id === id);
  if (!found) throw new InputError(`${id}: no such contract. There are ${contracts.map((c) => c.id).join(", ")}`);
  return found;
}

function renderExplanation({ result, run: which, replayToken, trace }: Explanation): string {
  const verdict = which === "conforming" ? result.conforming : result.asPosted;
  const wide = Math.max(...trace.map((e) => e.task.length));
  const kinds = Math.max(...trace.map((e) => e.kind.length));
  return [
    `${result.scenario} ${result.title}, contract ${result.contract}, ${which === "conforming" ? "conforming" : "as posted"}`,
    `${verdictText(verdict)}, blame: ${result.blame}`,
    which === "conforming" ? result.rule : "",
    `${result.topology}: ${result.binding}`,
    result.schedules ? `the worst of ${result.schedules.explored} orders, replay token ${replayToken}` : "",
    "",
    ...trace.map((e) => `${String(e.step).padStart(4)}  ${e.task.padEnd(wide)}  ${e.kind.padEnd(kinds)}  ${e.text}`),
  ]
    .filter((line, i) => line !== "" || i > 4)
    .join("\n");
}
