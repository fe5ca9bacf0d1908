/** What the numbers of a report stand on, what they leave out, and how to get them again. */
import { BASES, groupBy, type Result } from "@dma-buf/compare";
import { verdictText } from "../verdict.js";
import { ascii, COLUMNS } from "./ascii.js";
import { beside, someOf } from "../text.js";
import type { Move } from "./moves.js";
import type { Series } from "./report.js";
import { shellWords } from "./shell.js";

const LABEL = 11;

export function footLines({ before, after, machine, version, argv }: Series, moves: readonly Move[]): string[] {
  return [
    ...labelled("Basis", basisText(moves, before.contract.id)),
    ...labelled("Orders", ordersTried(after.results)),
    ...labelled("Assumed", assumedText(after.results)),
    ...labelled("Not covered", notCovered(after.results)),
    ...labelled("Made with", `dma-buf ${version}, on ${machine}`),
    ...commandLines(argv),
  ];
}

function labelled(label: string, text: string): string[] {
  return beside(label.padEnd(LABEL + 1), ascii(text), COLUMNS);
}

function basisText(moves: readonly Move[], before: string): string {
  if (moves.length === 0) return "nothing moves";
  const counts = BASES.map((basis) => [basis, moves.filter((m) => m.before.basis === basis).length] as const);
  const found = counts.filter(([, n]) => n > 0).map(([basis, n]) => `${basis} ${n}`);
  return `of the cells that move, ${before} rests on ${found.join(", ")}; what they move to was derived by running it`;
}

function ordersTried(results: readonly Result[]): string {
  const races = results.flatMap((r) => r.schedules ?? []);
  if (races.length === 0) return "no task races another";
  const all = races.filter((s) => s.exhausted).length;
  const bounds = [...new Set(races.flatMap((s) => s.bound ?? []))];
  const rest = all === races.length ? "" : `; the others bounded${bounds.length > 0 ? ` (${bounds.join("; ")})` : ""}`;
  const explored = races.reduce((sum, s) => sum + s.explored, 0);
  return `${explored} in ${races.length} ${races.length === 1 ? "race" : "races"}, all there are in ${all}${rest}`;
}

function assumedText(results: readonly Result[]): string {
  const unknown = results.flatMap(({ scenario, unknown: u }) => (u ? [{ scenario, ...u }] : []));
  if (unknown.length === 0) return "nothing";
  return [...groupBy(unknown, (u) => u.assumed)]
    .map(
      ([assumed, cells]) =>
        `${assumed}; otherwise ${someOf(
          cells.map((c) => `${c.scenario} ${verdictText(c.otherwise)}`),
          3,
        )}`,
    )
    .join("; ");
}

function notCovered(results: readonly Result[]): string {
  const cannot = results.filter((r) => r.conforming.verdict === "NA").length;
  const silent = results.filter((r) => r.conforming.verdict === "UNSPEC").length;
  return [
    "the series' own code: packages that obey its rules play it",
    "CPU memory ordering",
    ...(cannot > 0 ? [`${cannot} ${cannot === 1 ? "scenario that does" : "scenarios that do"} not apply`] : []),
    ...(silent > 0 ? [`${silent} on which it is silent`] : []),
  ].join("; ");
}

/** The command over as many lines as it needs; each but the last ends as a shell wants it. */
function commandLines(argv: readonly string[]): string[] {
  const words = ["dma-buf", ...shellWords(argv.map(ascii))];
  const lines: string[] = [];
  let line = " ";
  for (const word of words) {
    if (line !== " " && `${line} ${word} \\`.length > COLUMNS) {
      lines.push(`${line} \\`);
      line = "   ";
    }
    const [first = "", ...more] = brokenWord(word);
    line += ` ${first}`;
    for (const piece of more) {
      lines.push(`${line}\\`);
      line = piece;
    }
  }
  return ["Again with", ...lines, line];
}

/** A shell joins what a backslash breaks, without a space: so even a long path fits. */
function brokenWord(word: string): string[] {
  return word.startsWith("'") ? [word] : (word.match(new RegExp(`.{1,${COLUMNS - 8}}`, "g")) ?? [word]);
}
