/** Verdicts as they are printed, and rows of them. */
import { groupBy, type Result, type Verdict } from "@dma-buf/compare";

/** `REFUSED EINVAL@attach (also RESLEAK)`. */
export function verdictText({ verdict, errno, stage, also }: Verdict): string {
  const where = errno ? ` ${errno}@${stage}` : "";
  return `${verdict}${where}${also ? ` (also ${also.join(", ")})` : ""}`;
}

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
