/** A bar on stderr while cells are played, where somebody sees it. */
import type { Io } from "./io.js";

export interface Progress {
  /** @param what the cell that was played last */
  at(done: number, of: number, what: string): void;
  /** Leaves the line as it was. */
  end(): void;
}

const BAR = 24;

/** Draws once a percent: what draws more often costs more than it says. */
export function progress({ err, progressColumns }: Io): Progress {
  if (progressColumns === undefined) return { at() {}, end() {} };
  let drawn = -1;
  return {
    at(done, of, what) {
      const percent = Math.floor((done / of) * 100);
      if (percent === drawn) return;
      drawn = percent;
      const filled = Math.floor((done / of) * BAR);
      const bar = `[${"#".repeat(filled)}${".".repeat(BAR - filled)}] ${done}/${of} ${what}`;
      err(`\r${bar.slice(0, progressColumns - 1)}\u001B[K`);
    },
    end() {
      if (drawn >= 0) err("\r\u001B[K");
    },
  };
}
