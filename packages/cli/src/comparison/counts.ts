/** What a comparison comes to, as numbers: injected faults apart, and only what is the contract's doing counted against it. */
import type { Result, VerdictKind } from "@dma-buf/compare";
import { VERDICTS } from "@dma-buf/compare";
import { postedDiffers, rowsOf } from "../verdict.js";

/** One line of the table: a number a contract. */
export interface Count {
  readonly label: string;
  readonly indent: number;
  readonly numbers: readonly number[];
}

type Test = (result: Result) => boolean;

export function countsOf(contracts: readonly string[], results: readonly Result[]): Count[] {
  const rows = rowsOf(results);
  const fair = results.filter((r) => r.fault === null);
  const broken = results.filter((r) => r.fault !== null);
  const count = (of: readonly Result[], label: string, test: Test, indent = 0): Count => ({
    label,
    indent,
    numbers: contracts.map((id) => of.filter((r) => r.contract === id && test(r)).length),
  });
  const only: Test = (r) => isOk(r) && alone(r, rows.find((row) => row.includes(r)) ?? []);
  const lines = [
    count(fair, "scenarios that apply", applies),
    count(fair, "work (OK)", isOk),
    ...(contracts.length > 1 ? [count(fair, "under no other shown", only, 1)] : []),
    count(fair, "bad by the contract", byContract),
    ...kindsOf(fair).map((kind) => count(fair, kind, (r) => byContract(r) && r.conforming.verdict === kind, 1)),
    count(fair, "bad by somebody else", bySomebody),
    count(fair, "not OK, nobody to blame", (r) => applies(r) && !isOk(r) && r.blame === "none"),
    count(fair, "posted code ends otherwise", postedDiffers),
    count(broken, "injected faults", applies),
    count(broken, "do no harm (OK)", isOk, 1),
    count(broken, "bad by the contract", byContract, 1),
  ];
  return lines.filter(({ numbers }) => numbers.some((n) => n > 0));
}

/** The kinds that are the contract's doing somewhere, from good to bad. */
function kindsOf(results: readonly Result[]): VerdictKind[] {
  const found = new Set(results.filter(byContract).map((r) => r.conforming.verdict));
  return VERDICTS.filter((kind) => found.has(kind));
}

function isOk({ conforming }: Result): boolean {
  return conforming.verdict === "OK";
}

function applies({ conforming }: Result): boolean {
  return conforming.verdict !== "NA";
}

export function byContract(result: Result): boolean {
  return applies(result) && !isOk(result) && result.blame === "contract";
}

function bySomebody(result: Result): boolean {
  return applies(result) && !isOk(result) && result.blame !== "contract" && result.blame !== "none";
}

function alone(result: Result, row: readonly Result[]): boolean {
  return row.every((other) => other === result || !isOk(other));
}
