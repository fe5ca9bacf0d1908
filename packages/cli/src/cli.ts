/** The process around the command. */
import { readFileSync } from "node:fs";
import { run } from "./run.js";

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  version: string;
};
const isTerminal = process.stdout.isTTY;

// A reader that stops reading (`| head`) is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

process.exitCode = run(process.argv.slice(2), version, {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  columns: isTerminal ? process.stdout.columns : 100,
  colour: isTerminal && !process.env["NO_COLOR"],
  debug: Boolean(process.env["DEBUG"]),
  now: () => performance.now(),
});
