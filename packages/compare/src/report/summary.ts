/** What a contract came to over all cells. Only blame on the contract counts against it; injected faults stand apart. */
import { BLAMES, type Blame, type Result, VERDICTS, type VerdictKind } from "../result.js";

export interface ContractSummary {
  readonly contract: string;
  /** Cells that could be built, without an injected fault. */
  readonly cells: number;
  readonly ok: number;
  /** By whom the others are to blame on. */
  readonly blamed: Readonly<Record<Blame, number>>;
  /** What the contract is to blame for, worst last, as `VERDICTS` has them. */
  readonly contractVerdicts: readonly (readonly [VerdictKind, number])[];
  /** Cells in which somebody breaks a rule on purpose, and those where the contract lets it through. */
  readonly faults: { readonly cells: number; readonly contract: number };
  readonly unexpected: number;
  readonly contested: number;
}

export function summaryOf(contract: string, all: readonly Result[]): ContractSummary {
  const own = all.filter((r) => r.contract === contract && r.conforming.verdict !== "NA");
  const plain = own.filter((r) => r.fault === null);
  const broken = own.filter((r) => r.fault !== null);
  const bad = plain.filter((r) => r.conforming.verdict !== "OK");
  const ofContract = bad.filter((r) => r.blame === "contract");
  return {
    contract,
    cells: plain.length,
    ok: plain.length - bad.length,
    blamed: Object.fromEntries(BLAMES.map((b) => [b, bad.filter((r) => r.blame === b).length])) as Record<
      Blame,
      number
    >,
    contractVerdicts: VERDICTS.map(
      (v) => [v, ofContract.filter((r) => r.conforming.verdict === v).length] as const,
    ).filter(([, n]) => n > 0),
    faults: { cells: broken.length, contract: broken.filter((r) => r.blame === "contract").length },
    unexpected: own.filter((r) => !r.asExpected && r.contested === undefined).length,
    contested: own.filter((r) => r.contested !== undefined).length,
  };
}
