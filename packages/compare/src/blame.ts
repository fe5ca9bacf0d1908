/** Whose doing a bad verdict is: found by putting the conforming side in the place of the posted one. */
import type { Blame, Verdict } from "./result.js";
import type { Outcome } from "./run.js";

/**
 * - The posted pair is bad and the conforming pair is not: the side whose replacement mends it.
 * - Both are bad, or nobody posted it: whoever broke a rule of the contract; if nobody did, the contract itself.
 */
export function blame(posted: Outcome | null, conforming: Outcome, withGoodExporter: () => Outcome): Blame {
  if (posted && isBad(posted.verdict) && !isBad(conforming.verdict))
    return isBad(withGoodExporter().verdict) ? "importer" : "exporter";
  if (!isBad(conforming.verdict)) return "none";
  return (conforming.violations.find((f) => f.party !== "framework")?.party as Blame | undefined) ?? "contract";
}

function isBad({ verdict }: Verdict): boolean {
  return verdict !== "OK";
}
