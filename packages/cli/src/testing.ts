/** The command as tests run it: words in, exit code and both outputs back. */
import { run } from "./run.js";

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export async function dmaBuf(...argv: string[]): Promise<Ran> {
  let [out, err] = ["", ""];
  const io = {
    out: (t: string) => void (out += t),
    err: (t: string) => void (err += t),
    columns: 100,
    colour: false,
    debug: false,
    now: () => 0,
  };
  return { code: await run(argv, "1.2.3", io), out, err };
}
