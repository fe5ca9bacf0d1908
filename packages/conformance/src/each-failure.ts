/** The first of a kind fails, then the second, and so on, until a run is over before one could. */
import type { Outcome } from "./kit-case.js";

/** A run in which one thing was to fail. */
export interface RunWithFailure {
  /** What did; `null`: there were fewer. */
  readonly failed: string | null;
  /** What was wrong after it. */
  readonly broken: readonly string[];
}

/** @param titleOf the title, where `count` failed */
export function eachFailure(
  what: string,
  failNth: (n: number) => RunWithFailure,
  titleOf: (count: number) => string,
): Outcome {
  const breaches: string[] = [];
  for (let n = 1; ; n++) {
    const { failed, broken } = failNth(n);
    if (failed === null) return { title: n === 1 ? `0 ${what}s seen` : titleOf(n - 1), breaches };
    breaches.push(...broken.map((message) => `${what} ${n} (${failed}) fails: ${message}`));
  }
}
