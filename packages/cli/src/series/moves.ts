/** Cells that end otherwise under a proposal than before. */
import { badness, groupBy, type Result } from "@dma-buf/compare";
import { verdictText } from "../verdict.js";

export interface Move {
  readonly before: Result;
  readonly after: Result;
}

/**
 * What gets worse by the contract first, though somebody has to break a rule for it; then what else gets worse, is better, or
 * neither. What rests on a platform model that nobody verified comes after what does not.
 */
export function movesBetween(before: readonly Result[], after: readonly Result[]): Move[] {
  const was = new Map(before.map((result) => [result.scenario, result]));
  return after
    .flatMap((result) => {
      const old = was.get(result.scenario);
      return old && hasMoved(old, result) ? [{ before: old, after: result }] : [];
    })
    .toSorted(
      (a, b) =>
        excused(a) - excused(b) ||
        rank(a) - rank(b) ||
        isUnverified(a) - isUnverified(b) ||
        worsening(b) - worsening(a) ||
        byOther(a) - byOther(b),
    );
}

function rank(move: Move): number {
  const by = worsening(move);
  return by > 0 ? 0 : by < 0 ? 1 : 2;
}

/** A fault on purpose, which the contract forbids. */
function excused({ after }: Move): number {
  return Number(after.fault !== null && after.blame !== "contract");
}

/** Says it of the expectation: what runs does not know what its model rests on. */
function isUnverified({ before, after }: Move): number {
  return Number([before, after].some(({ basis }) => basis === "platform, unverified"));
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

export function moveText(move: Move): string {
  return `${arrowText(move)}: ${move.after.title}`;
}

/** Cells that move alike, in a line: `REFUSED EINVAL@attach -> OK`. What is not worse stands by how many there are. */
export function movesAlike(moves: readonly Move[]): { readonly text: string; readonly scenarios: readonly string[] }[] {
  return [...groupBy(moves, arrowText)]
    .toSorted(([, a], [, b]) => {
      const [first, second] = [a[0] as Move, b[0] as Move];
      const isOrdered = excused(first) === excused(second) && rank(first) === rank(second) && rank(first) > 0;
      return isOrdered ? b.length - a.length : moves.indexOf(first) - moves.indexOf(second);
    })
    .map(([text, own]) => ({ text, scenarios: own.map((m) => m.after.scenario) }));
}

function arrowText({ before, after }: Move): string {
  const blame = after.conforming.verdict === "OK" || after.blame === "none" ? "" : `, by the ${after.blame}`;
  const fault = after.fault === null ? "" : " (a fault on purpose)";
  const basis = isUnverified({ before, after }) ? " (platform model, unverified)" : "";
  return `${verdictText(before.conforming)} -> ${verdictText(after.conforming)}${blame}${fault}${basis}`;
}
