/** What each command is made with. */
import type { Command } from "commander";
import type { Io } from "../io.js";

export interface Cli {
  readonly io: Io;
  /** A command with what all have: `--json`, `--version`, no words too many. */
  command(name: string, text: string): Command;
  /** JSON alone, or text. */
  print(json: boolean | undefined, value: () => unknown, text: () => string): void;
}
