/** Whose doing a bad verdict is: found by putting the conforming side in the place of the posted one. */
import type { Contract } from "@dma-buf/core";
import type { Played } from "./readings.js";
import type { Blame, Verdict } from "./result.js";
import type { Fault, Scenario } from "./scenario/scenario.js";

/**
 * - Nobody plays it: nobody's.
 * - The posted pair is bad and the conforming pair is not: the side whose replacement mends it.
 * - Both are bad, or nobody posted it: who broke a rule on purpose; else whoever broke a rule of the contract; if nobody
 *   did, the contract itself.
 */
export function blame(
  posted: Played | null,
  conforming: Played,
  withGoodExporter: () => Played,
  fault: Scenario["fault"],
  contract: Contract,
): Blame {
  if (posted && isBad(posted.verdict) && !isBad(conforming.verdict))
    return isBad(withGoodExporter().verdict) ? "importer" : "exporter";
  if (!isBad(conforming.verdict)) return "none";
  const broke = conforming.violations.find((f) => f.party !== "framework")?.party as Blame | undefined;
  return broke ?? (fault && forbids(contract, fault) ? fault.party : "contract");
}

function forbids({ rows }: Contract, { breaks }: Fault): boolean {
  return breaks?.some((call) => call in rows) ?? true;
}

function isBad({ verdict }: Verdict): boolean {
  return verdict !== "OK" && verdict !== "NA";
}
