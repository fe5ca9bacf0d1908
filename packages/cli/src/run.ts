/** The `dma-buf` command as a function: words in, text and an exit code out. */
import { Command, CommanderError } from "commander";
import type { Cli, ExitCode } from "./commands/cli.js";
import type { Io } from "./io.js";

/** @param argv the words after `dma-buf` */
export async function run(argv: readonly string[], version: string, io: Io): Promise<ExitCode> {
  let exit: ExitCode = 0;
  const program = build({ version, argv, io, exit: (code) => (exit = code) }, await commandsFor(argv));
  try {
    await program.parseAsync([...argv], { from: "user" });
    return exit;
  } catch (error) {
    return failed(error, io);
  }
}

/** Adds a command, or some that belong together, to the program. */
type AddCommands = (cli: Cli) => void;

const compare = async (): Promise<AddCommands> => (await import("./commands/compare.js")).addCompareCommand;
const scenarios = async (): Promise<AddCommands> => (await import("./commands/scenarios.js")).addScenariosCommand;
const explain = async (): Promise<AddCommands> => (await import("./commands/explain.js")).addExplainCommand;
const contract = async (): Promise<AddCommands> => (await import("./commands/contract.js")).addContractCommand;
const host = async (): Promise<AddCommands> => (await import("./commands/host.js")).addHostCommands;
const COMMANDS = new Map([
  ["compare", compare],
  ["scenarios", scenarios],
  ["explain", explain],
  ["contract", contract],
  ["machine", host],
  ["p2p", host],
  ["capture", host],
]);

/** Only the one that is named, as the comparison takes long to load and a question about a host does not need it; else all. */
async function commandsFor([word = ""]: readonly string[]): Promise<readonly AddCommands[]> {
  const named = COMMANDS.get(word);
  return Promise.all(named ? [named()] : [...new Set(COMMANDS.values())].map((load) => load()));
}

/** Whose message is all that a user needs. By name, as a class is there only where its package was loaded. */
const EXPECTED = new Set(["UsageError", "InputError", "CaptureError", "ScenarioError"]);

function failed(error: unknown, io: Io): ExitCode {
  // commander has printed its own message; help and version end with 0.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (!(error instanceof Error)) throw error;
  if (!EXPECTED.has(error.name) && !io.debug)
    io.err(`dma-buf: this is a bug of ours: ${error.message}. DEBUG=1 shows where\n`);
  else io.err(`dma-buf: ${io.debug ? error.stack : error.message}\n`);
  return 2;
}

function build(
  { version, argv, io, exit }: Pick<Cli, "version" | "argv" | "io" | "exit">,
  commands: readonly AddCommands[],
): Command {
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
    .showHelpAfterError("(dma-buf --help lists commands)");
  const cli: Cli = {
    version,
    argv,
    io,
    exit,
    command: (name, text) =>
      program
        .command(name)
        .description(text)
        .showHelpAfterError(`(dma-buf ${name} --help lists its options)`)
        .option("--json", "print JSON alone")
        .version(version)
        .allowExcessArguments(false),
    print: (json, value, text) => io.out(`${json ? JSON.stringify(value(), null, 2) : text()}\n`),
  };
  for (const add of commands) add(cli);
  return program;
}
