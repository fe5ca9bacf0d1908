/** What the words of verdicts mean, in a few words each. */
import { type Result, type VerdictKind, VERDICTS } from "../result.js";

const MEANING: Readonly<Record<VerdictKind, string>> = {
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

/**
 * Of the verdicts that some cell has, each with what it means, from good to bad.
 * @example
 * meaningsOf(compare({ scenarios: ["S34c"], contracts: ["pfn"] }).results).map((m) => m.verdict); // ["STALE", "NA"]
 */
export function meaningsOf(
  results: readonly Result[],
): readonly { readonly verdict: VerdictKind; readonly means: string }[] {
  const found = new Set(results.flatMap((r) => [r.conforming.verdict, r.asPosted.verdict]));
  return VERDICTS.filter((verdict) => found.has(verdict)).map((verdict) => ({ verdict, means: MEANING[verdict] }));
}
