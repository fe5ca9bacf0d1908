/** The `dma-buf` command as a function: words in, text and an exit code out. */
import { ScenarioError, UsageError } from "@dma-buf/compare";
import { CaptureError } from "@dma-buf/pci";
import { Command, CommanderError } from "commander";
import type { Cli, ExitCode } from "./commands/cli.js";
import { addCompareCommand } from "./commands/compare.js";
import { addContractCommand } from "./commands/contract.js";
import { addExplainCommand } from "./commands/explain.js";
import { addHostCommands } from "./commands/host.js";
import { addScenariosCommand } from "./commands/scenarios.js";
import { InputError } from "./errors.js";
import type { Io } from "./io.js";

/** @param argv the words after `dma-buf` */
export async function run(argv: readonly string[], version: string, io: Io): Promise<ExitCode> {
  let exit: ExitCode = 0;
  const program = build({ version, argv, io, exit: (code) => (exit = code) });
  try {
    await program.parseAsync([...argv], { from: "user" });
    return exit;
  } catch (error) {
    return failed(error, io);
  }
}

/** Whose message is all that a user needs. */
const EXPECTED = [UsageError, InputError, CaptureError, ScenarioError];

function failed(error: unknown, io: Io): ExitCode {
  // commander has printed its own message; help and version end with 0.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  const expected = EXPECTED.some((kind) => error instanceof kind);
  if (!expected && !(error instanceof Error)) throw error;
  if (!expected && !io.debug)
    io.err(`dma-buf: this is a bug of ours: ${(error as Error).message}. DEBUG=1 shows where\n`);
  else io.err(`dma-buf: ${io.debug ? (error as Error).stack : (error as Error).message}\n`);
  return 2;
}

function build({ version, argv, io, exit }: Pick<Cli, "version" | "argv" | "io" | "exit">): Command {
  const program = new Command("dma-buf")
    .description("An executable dma-buf: the contracts of the kernel debate, side by side")
    .version(version)
    .exitOverride()
    .configureOutput({
      writeOut: io.out,
      writeErr: io.err,
      getOutHelpWidth: () => io.columns,
      getErrHelpWidth: () => io.columns,
    })
    .showHelpAfterError("(dma-buf --help lists commands and options)");
  const cli: Cli = {
    version,
    argv,
    io,
    exit,
    command: (name, text) =>
      program
        .command(name)
        .description(text)
        .option("--json", "print JSON alone")
        .version(version)
        .allowExcessArguments(false),
    print: (json, value, text) => io.out(`${json ? JSON.stringify(value(), null, 2) : text()}\n`),
  };
  addCompareCommand(cli);
  addScenariosCommand(cli);
  addExplainCommand(cli);
  addContractCommand(cli);
  addHostCommands(cli);
  return program;
}
