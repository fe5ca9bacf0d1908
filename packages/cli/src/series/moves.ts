/** Cells that end otherwise under a proposal than before. */
import { badness, type Result } from "@dma-buf/compare";
import { verdictText } from "../verdict.js";

export interface Move {
  readonly before: Result;
  readonly after: Result;
}

/** Worst first; what somebody breaks on purpose after all others. */
export function movesBetween(before: readonly Result[], after: readonly Result[]): Move[] {
  const was = new Map(before.map((result) => [result.scenario, result]));
  return after
    .flatMap((result) => {
      const old = was.get(result.scenario);
      return old && hasMoved(old, result) ? [{ before: old, after: result }] : [];
    })
    .toSorted((a, b) => Number(a.after.fault !== null) - Number(b.after.fault !== null) || worsening(b) - worsening(a));
}

export function hasMoved(before: Result, after: Result): boolean {
  return verdictText(before.conforming) !== verdictText(after.conforming);
}

/** More than zero: worse than before. Where it was and is equally bad, what it is decides nothing. */
export function worsening({ before, after }: Move): number {
  return badness(after.conforming) - badness(before.conforming);
}

export function moveText({ before, after }: Move): string {
  const blame = after.conforming.verdict === "OK" || after.blame === "none" ? "" : `, by the ${after.blame}`;
  const fault = after.fault === null ? "" : " (a fault on purpose)";
  return `${verdictText(before.conforming)} -> ${verdictText(after.conforming)}${blame}${fault}: ${after.title}`;
}
