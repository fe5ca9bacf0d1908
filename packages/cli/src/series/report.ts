/** What a series would change, as a mail to the list carries it: ASCII, 72 columns, 60 lines. */
import type { Explanation, Result } from "@dma-buf/compare";
import type { Contract } from "@dma-buf/core";
import { ordersText } from "../comparison/cell-lines.js";
import { shortTrace } from "../short-trace.js";
import { beside, hanging, someOf } from "../text.js";
import { verdictText } from "../verdict.js";
import { ascii, COLUMNS, cut, entry, linesOf, sentences } from "./ascii.js";
import { footLines } from "./foot.js";
import { type Move, movesAlike, movesBetween, moveText, worsening } from "./moves.js";
import { ruleChanges } from "./rules.js";

const LINES = 60;
const TRACE_EVENTS = 9;
const RULE_LINES = 4;
/** Of a group, so that the others have room: what fits into two lines. */
const IDS = 12;

/** A contract, and its cell of every scenario. */
export interface Side {
  readonly contract: Contract;
  readonly results: readonly Result[];
}

export interface Series {
  readonly before: Side;
  readonly after: Side;
  /** What both revisions of a proposal are set against. */
  readonly base?: Side;
  readonly machine: string;
  readonly version: string;
  /** The words after `dma-buf`, as they were typed. */
  readonly argv: readonly string[];
  /** Shows one cell of the proposal. */
  explain(scenario: string): Explanation;
}

/** At most {@link LINES} lines of at most 72 columns; the same for the same series. */
export function seriesReport(series: Series): string {
  const { before, after } = series;
  const moves = movesBetween(before.results, after.results);
  const head = headLines(series, moves);
  const trace = traceLines(moves, series);
  const foot = footLines(series, moves);
  const rules = ruleChanges(before.contract, after.contract).map(({ kind, text }) => entry(kind, 6, text));
  const cells = moves.map((move) => entry(move.after.scenario, 5, moveText(move)));
  const alike = movesAlike(moves).map(({ text, scenarios }) => ({
    lines: hanging(ascii(`${text}: ${someOf(scenarios, IDS).replaceAll(",", "")}`), COLUMNS - 2, 4).map(
      (line) => `  ${line}`,
    ),
    count: scenarios.length,
  }));
  const heading = cellsHeading(moves, after.results);
  // The heading of the rules, and a line before each of four parts.
  const left = LINES - head.length - heading.length - trace.length - foot.length - 5;
  const [rulesMax, cellsMax] = shared(left, linesOf(rules).length, [linesOf(cells).length, linesOf(alike).length]);
  const lines = [
    ...head,
    "",
    `Rules that change: ${rules.length}`,
    ...cut(rules, rulesMax),
    "",
    ...heading,
    ...cut(linesOf(cells).length > cellsMax ? alike : cells, cellsMax),
    ...(trace.length > 0 ? ["", ...trace] : []),
    "",
    ...foot,
  ];
  return `${lines.map((line) => line.trimEnd()).join("\n")}\n`;
}

/**
 * What rules and cells get of the lines that are there: a third and the rest, and what one leaves goes to the other.
 * @param cells how many they take with their titles, and how many without
 */
function shared(lines: number, rules: number, [long, short]: readonly [number, number]): [number, number] {
  const third = Math.floor(lines / 3);
  const cells = long <= lines - third ? long : short;
  if (rules <= third) return [rules, lines - rules];
  if (cells <= lines - third) return [lines - cells, cells];
  return [third, lines - third];
}

function headLines({ before, after, base, version }: Series, moves: readonly Move[]): string[] {
  const [old, own] = [before.contract, after.contract];
  const name = old.id === own.id ? `${own.id}, this revision against the one before` : `${own.id} against ${old.id}`;
  const axes =
    old.base === own.base
      ? `Both extend Linux ${own.base}.`
      : `Two axes differ: ${own.id} extends Linux ${own.base}, ${old.id} Linux ${old.base}.`;
  return [
    ...sentences(`dma-buf ${version}: ${name}`),
    "=".repeat(COLUMNS),
    ...sentences(`${own.title} ${axes}`),
    ...(base ? sentences(againstBase(base, before, after, moves)) : []),
  ];
}

function againstBase(base: Side, before: Side, after: Side, moves: readonly Move[]): string {
  const moved = (side: Side): number => movesBetween(base.results, side.results).length;
  return `Against ${base.contract.id}, the revision before moves ${moved(before)} cells and this one ${moved(after)}; ${moves.length} differ between the two.`;
}

/** Better and worse are told of what somebody breaks on purpose as well, and apart. */
function cellsHeading(moves: readonly Move[], results: readonly Result[]): string[] {
  const fair = moves.filter(({ after }) => after.fault === null);
  const faults = moves.filter(({ after }) => after.fault !== null);
  const all = results.filter((r) => r.fault === null).length;
  const apart = faults.length > 0 ? `. With a fault on purpose ${faults.length}, ${waysText(faults)}` : "";
  return sentences(`Cells that move: ${fair.length} of ${all}, ${waysText(fair)}${apart}`);
}

function waysText(moves: readonly Move[]): string {
  const better = moves.filter((move) => worsening(move) < 0).length;
  const worse = moves.filter((move) => worsening(move) > 0);
  const own = worse.filter(({ after }) => after.blame === "contract").length;
  const other = moves.length - better - worse.length;
  return `${better} better, ${worse.length} worse (${own} by the contract)${other > 0 ? `, ${other} neither` : ""}`;
}

/** The move that is worst by the contract, or else at all; nothing where nothing got worse. */
function worstOf(moves: readonly Move[]): Move | undefined {
  const worse = moves.filter((move) => worsening(move) > 0);
  return worse.find(({ after }) => after.blame === "contract") ?? worse[0];
}

function traceLines(moves: readonly Move[], { explain }: Series): string[] {
  const worst = worstOf(moves);
  if (!worst) return [];
  const { result, trace } = explain(worst.after.scenario);
  const events = shortTrace(trace, TRACE_EVENTS);
  if (events.length === 0) return [];
  const [task, kind] = [widest(events.map((e) => e.task)), widest(events.map((e) => e.kind))];
  const orders = ordersText(result);
  return [
    ...sentences(
      `The worst, ${result.scenario}, "${result.title}": ${verdictText(result.conforming)}${orders ? ` (${orders})` : ""}. ${result.rule.text}`,
    ).slice(0, RULE_LINES),
    ...events.flatMap((e, i) => {
      const label = `  ${e.task.padEnd(task)} ${e.kind.padEnd(kind)} `;
      const text = withoutDomain(e.text);
      return i === events.length - 1 ? beside(ascii(label), ascii(text), COLUMNS) : [clipped(label + text)];
    }),
  ];
}

/** `0000:04:00.0` as everybody says it. */
function withoutDomain(text: string): string {
  return text.replaceAll(/\b0000:(?=[\da-f]{2}:[\da-f]{2}\.\d)/g, "");
}

function widest(words: readonly string[]): number {
  return Math.max(...words.map((w) => w.length));
}

function clipped(text: string): string {
  const plain = ascii(text);
  return plain.length <= COLUMNS ? plain : `${plain.slice(0, COLUMNS - 2)}..`;
}
