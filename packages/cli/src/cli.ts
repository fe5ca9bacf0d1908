/** The process around the command. */
import { readFileSync } from "node:fs";
import { run } from "./run.js";
import { columnsOf, hasColour } from "./terminal.js";

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  version: string;
};
const { stdout, stderr, env } = process;

// A reader that stops reading (`| head`) is no error.
stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

// The answer alone is for stdout: what somebody's module prints goes to stderr.
const write = stdout.write.bind(stdout);
stdout.write = stderr.write.bind(stderr);

process.exitCode = await run(process.argv.slice(2), version, {
  out: (text) => void write(text),
  err: (text) => void stderr.write(text),
  columns: columnsOf(stdout, env),
  colour: hasColour(stdout, env),
  debug: Boolean(env["DEBUG"]),
  ...(stderr.isTTY ? { progressColumns: stderr.columns } : {}),
  now: () => performance.now(),
});
// Nor does a timer that it left running keep the command from ending.
write("", () => process.exit());
