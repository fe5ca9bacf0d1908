/** Cells that end otherwise under a proposal than before. */
import { badness, type Result } from "@dma-buf/compare";
import { verdictText } from "../verdict.js";

export interface Move {
  readonly before: Result;
  readonly after: Result;
}

/** Worst first, the contract's doing before others'; what somebody breaks on purpose after all of them. */
export function movesBetween(before: readonly Result[], after: readonly Result[]): Move[] {
  const was = new Map(before.map((result) => [result.scenario, result]));
  return after
    .flatMap((result) => {
      const old = was.get(result.scenario);
      return old && hasMoved(old, result) ? [{ before: old, after: result }] : [];
    })
    .toSorted((a, b) => hasFault(a) - hasFault(b) || worsening(b) - worsening(a) || byOther(a) - byOther(b));
}

function hasFault({ after }: Move): number {
  return Number(after.fault !== null);
}

function byOther({ after }: Move): number {
  return Number(after.blame !== "contract");
}

export function hasMoved(before: Result, after: Result): boolean {
  return verdictText(before.conforming) !== verdictText(after.conforming);
}

/** More than zero: worse than before. Where there was no question, or is none any more, it is neither better nor worse. */
export function worsening({ before, after }: Move): number {
  if (before.conforming.verdict === "NA" || after.conforming.verdict === "NA") return 0;
  return badness(after.conforming) - badness(before.conforming);
}

export function moveText({ before, after }: Move): string {
  const blame = after.conforming.verdict === "OK" || after.blame === "none" ? "" : `, by the ${after.blame}`;
  const fault = after.fault === null ? "" : " (a fault on purpose)";
  return `${verdictText(before.conforming)} -> ${verdictText(after.conforming)}${blame}${fault}: ${after.title}`;
}
