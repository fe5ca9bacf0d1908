/** What each command is made with. */
import type { Command } from "commander";
import type { Io } from "../io.js";

/** 0: it ran. 1: a cell is not as expected and not contested. 2: bad use or input. */
export type ExitCode = 0 | 1 | 2;

export interface Cli {
  readonly io: Io;
  readonly version: string;
  /** The words after `dma-buf`. */
  readonly argv: readonly string[];
  /** A command with what all have: `--json`, `--version`, no words too many. */
  command(name: string, text: string): Command;
  /** JSON alone, or text. */
  print(json: boolean | undefined, value: () => unknown, text: () => string): void;
  /** How the process is to end. */
  exit(code: ExitCode): void;
}
