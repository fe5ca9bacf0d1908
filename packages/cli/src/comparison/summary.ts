/** What the comparison comes to; every number and name is taken from the results. */
import { type Comparison, meaningsOf, type Result, type VerdictKind } from "@dma-buf/compare";
import type { Io } from "../io.js";
import { bold, hanging, someOf, tableWidth, textWidth } from "../text.js";
import { isUnexpected } from "../verdict.js";
import { byContract, countsOf } from "./counts.js";
import { idParts, longestPart } from "./heads.js";

const LABEL = 26;
/** Digits of a number. */
const COUNT = 4;
const UNSAFE: readonly VerdictKind[] = ["CORRUPT", "STALE", "DISCLOSE", "RESLEAK", "CRASH", "HANG"];

export function summaryLines({ contracts, results }: Comparison, io: Io): string[] {
  const width = textWidth(io);
  return [
    ...countTable(contracts, results, io),
    "",
    ...contracts.flatMap((id) => hanging(unsafeText(id, results), width, 2)),
    ...hanging(`Verdicts: ${meanings(results)}.`, width, 2),
    ...hanging(expectedText(results), width, 2),
  ];
}

function countTable(contracts: readonly string[], results: readonly Result[], io: Io): string[] {
  const widths = columnWidths(contracts, tableWidth(io) - LABEL);
  const heads = contracts.map((id, i) => idParts(id, widths[i] as number));
  const height = Math.max(...heads.map((h) => h.length));
  const head = Array.from({ length: height }, (_, i) =>
    line(
      i === 0 ? "What it comes to" : "",
      heads.map((h) => h[i] ?? ""),
    ),
  );
  const counts = countsOf(contracts, results).map(({ label, indent, numbers }) =>
    line(`${"  ".repeat(indent)}${label}`, numbers.map(String)),
  );
  return [...head.map((text) => bold(io.colour, text)), ...counts];

  function line(label: string, cells: readonly string[]): string {
    return `${label.padEnd(LABEL)}${cells.map((cell, i) => `  ${cell.padStart(widths[i] as number)}`).join("")}`.trimEnd();
  }
}

/** Whole ids where they fit beside each other, else what their longest parts need. */
function columnWidths(contracts: readonly string[], room: number): number[] {
  const whole = contracts.map((id) => Math.max(COUNT, id.length));
  const isRoom = whole.reduce((sum, width) => sum + 2 + width, 0) <= room;
  return isRoom ? whole : contracts.map((id) => Math.max(COUNT, longestPart(id)));
}

function unsafeText(contract: string, results: readonly Result[]): string {
  const unsafe = results.filter(
    (r) => r.contract === contract && r.fault === null && byContract(r) && UNSAFE.includes(r.conforming.verdict),
  );
  if (unsafe.length === 0) return `${contract}: nothing is unsafe by the contract.`;
  return `${contract}: unsafe by the contract, even with the best plugins: ${someOf(
    unsafe.map((r) => `${r.scenario} ${r.conforming.verdict}`),
    12,
  )}.`;
}

function meanings(results: readonly Result[]): string {
  return meaningsOf(results)
    .filter(({ verdict }) => verdict !== "NA")
    .map(({ verdict, means }) => `${verdict}: ${means}`)
    .join("; ");
}

function expectedText(results: readonly Result[]): string {
  const odd = results.filter(isUnexpected).map((r) => `${r.scenario} ${r.contract}`);
  const contested = results.filter((r) => !r.asExpected && r.contested !== undefined).length;
  const all = `${results.length} ${results.length === 1 ? "cell" : "cells"}`;
  const but =
    contested === 0 ? "" : ` ${contested} ${contested === 1 ? "is" : "are"} contested: docs/contested.md says why.`;
  if (odd.length > 0) return `NOT as expected: ${odd.length} of ${all}: ${someOf(odd, 12)}.${but}`;
  return contested === 0
    ? `As expected: all of ${all}.`
    : `As expected: ${results.length - contested} of ${all}.${but}`;
}
