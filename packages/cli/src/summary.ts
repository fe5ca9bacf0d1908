/** What the table comes to, in sentences that need no mailing list; every number and name is taken from the results. */
import type { Comparison, Result, VerdictKind } from "@dma-buf/compare";
import { groupBy } from "./group.js";

const MEANING: Record<VerdictKind, string> = {
  OK: "every byte went where the contract says",
  DEGRADED: "works by a worse path",
  REFUSED: "refused with an error before any access",
  FAULT: "hardware stopped the access, visibly",
  CORRUPT: "bytes were lost or went elsewhere, and nobody said so",
  STALE: "an access reached memory after it was given up",
  DISCLOSE: "bytes crossed a trust boundary",
  RESLEAK: "something was never given back",
  CRASH: "the kernel stops",
  HANG: "a wait without an end",
  UNSPEC: "the contract is silent",
  NA: "nobody posted it",
};

const UNSAFE: readonly VerdictKind[] = ["CORRUPT", "STALE", "DISCLOSE", "CRASH", "HANG", "RESLEAK"];

export function summary({ results }: Comparison): string[] {
  const lines = [...groupBy(results, (r) => r.contract)].flatMap(([contract, own]) =>
    perContract(contract, own, results),
  );
  const kinds = [...new Set(results.flatMap((r) => [r.conforming.verdict, r.asPosted.verdict]))].filter(
    (k) => k !== "NA",
  );
  const unexpected = results.filter((r) => !r.asExpected && !r.contested).length;
  return [
    ...lines,
    `Verdicts: ${kinds.map((k) => `${k}: ${MEANING[k]}`).join("; ")}.`,
    unexpected === 0
      ? `All ${results.length} cells are as expected.`
      : `${unexpected} of ${results.length} cells are NOT as expected.`,
  ];
}

function perContract(contract: string, own: readonly Result[], all: readonly Result[]): string[] {
  const works = own.filter((r) => r.conforming.verdict === "OK");
  const alone = works.filter(
    (r) =>
      all.some((o) => o.scenario === r.scenario) &&
      !all.some((o) => o !== r && o.scenario === r.scenario && o.conforming.verdict === "OK"),
  );
  const refused = own.filter((r) => r.conforming.verdict === "REFUSED");
  const unsafe = own.filter((r) => UNSAFE.includes(r.conforming.verdict));
  const mended = own.filter((r) => r.asPosted.verdict !== "NA" && r.asPosted.verdict !== r.conforming.verdict);
  return [
    `${contract}: ${works.length} of ${own.length} scenarios work` +
      (alone.length > 0 ? `, ${alone.length} of them under no other contract shown (${served(alone)})` : "") +
      (refused.length > 0 ? `; ${refused.length} refused (${served(refused)})` : "") +
      (unsafe.length > 0
        ? `; ${unsafe.length} unsafe even with the best plugins (${unsafe.map((r) => `${r.scenario} ${r.conforming.verdict}`).join(", ")})`
        : "; none unsafe with the best plugins") +
      (mended.length > 0 ? `; the code that was posted does worse in ${ids(mended)}` : "") +
      ".",
  ];
}

/** Which importers these are about. */
function served(results: readonly Result[]): string {
  return [...groupBy(results, (r) => r.importer)].map(([importer, rs]) => `${importer}: ${ids(rs)}`).join("; ");
}

function ids(results: readonly Result[]): string {
  return results.map((r) => r.scenario).join(", ");
}
