/** Verdicts as they are printed, and what the words mean. */
import type { Result, Verdict, VerdictKind } from "@dma-buf/compare";
import { groupBy } from "./group.js";

/** `REFUSED EINVAL@attach (also RESLEAK)`. */
export function verdictText({ verdict, errno, stage, also }: Verdict): string {
  const where = errno ? ` ${errno}@${stage}` : "";
  return `${verdict}${where}${also ? ` (also ${also.join(", ")})` : ""}`;
}

export const MEANING: Readonly<Record<VerdictKind, string>> = {
  OK: "every byte went where the contract says",
  DEGRADED: "it works by a worse path or in smaller pieces",
  REFUSED: "an error before any access",
  FAULT: "hardware stopped the access, visibly",
  CORRUPT: "bytes were lost or went elsewhere, and nobody said so",
  STALE: "an access reached memory after it was given up",
  DISCLOSE: "bytes crossed a trust boundary",
  RESLEAK: "something was never given back",
  CRASH: "the kernel stops",
  HANG: "a wait without an end",
  UNSPEC: "the contract is silent",
  NA: "nobody posted it, or it cannot be built",
};

/** Does the code that was posted end otherwise than what the contract allows? */
export function postedDiffers({ asPosted, conforming }: Result): boolean {
  return asPosted.verdict !== "NA" && verdictText(asPosted) !== verdictText(conforming);
}

export function isUnexpected({ asExpected, contested }: Result): boolean {
  return !asExpected && contested === undefined;
}

/** The cells of each scenario, in order. */
export function rowsOf(results: readonly Result[]): Result[][] {
  return [...groupBy(results, (r) => r.scenario).values()];
}

/** Do the contracts of this row end differently? */
export function rowDiffers(row: readonly Result[]): boolean {
  return new Set(row.map((r) => verdictText(r.conforming))).size > 1;
}
