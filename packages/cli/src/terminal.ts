/** How wide to write, and whether in colour: what the terminal and the environment say. */

/** A stream of the process, as far as this asks. */
export interface Stream {
  readonly isTTY?: boolean;
  readonly columns?: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** What a pipe is given, unless `COLUMNS` says otherwise. */
const PIPE_COLUMNS = 100;

export function columnsOf(stream: Stream, env: Environment): number {
  if (stream.isTTY && stream.columns) return stream.columns;
  const told = Number(env["COLUMNS"]);
  return Number.isInteger(told) && told > 0 ? told : PIPE_COLUMNS;
}

/** `FORCE_COLOR` decides; then `NO_COLOR`, if it is not empty; then whether it is a terminal that can. */
export function hasColour(stream: Stream, env: Environment): boolean {
  const { FORCE_COLOR: forced, NO_COLOR: none, TERM: terminal } = env;
  if (forced !== undefined) return forced !== "0" && forced !== "false";
  return !none && Boolean(stream.isTTY) && terminal !== "dumb";
}
