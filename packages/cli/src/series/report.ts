/** What a series would change, as a mail to the list carries it: ASCII, 72 columns, 60 lines. */
import type { Explanation, Result } from "@dma-buf/compare";
import type { Contract } from "@dma-buf/core";
import { ordersText } from "../comparison/cell-lines.js";
import { shortTrace } from "../short-trace.js";
import { beside } from "../text.js";
import { verdictText } from "../verdict.js";
import { ascii, COLUMNS, cut, entry, sentences } from "./ascii.js";
import { footLines } from "./foot.js";
import { type Move, movesBetween, moveText, worsening } from "./moves.js";
import { ruleChanges } from "./rules.js";

const LINES = 60;
const TRACE_EVENTS = 10;
const RULE_LINES = 4;

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
  const heading = cellsHeading(moves, after.results);
  // The heading of the rules, and a line before each of four parts.
  const left = LINES - head.length - heading.length - trace.length - foot.length - 5;
  const [rulesMax, cellsMax] = shared(left, rules.flat().length, cells.flat().length);
  const lines = [
    ...head,
    "",
    `Rules that change: ${rules.length}`,
    ...cut(rules, rulesMax),
    "",
    ...heading,
    ...cut(cells.flat().length > cellsMax ? moves.map(moveLine) : cells, cellsMax),
    ...(trace.length > 0 ? ["", ...trace] : []),
    "",
    ...foot,
  ];
  return `${lines.map((line) => line.trimEnd()).join("\n")}\n`;
}

/** What two lists get of the lines that are there: half each, and what one leaves goes to the other. */
function shared(lines: number, first: number, second: number): [number, number] {
  const half = Math.floor(lines / 2);
  if (first <= half) return [first, lines - first];
  if (second <= half) return [lines - second, second];
  return [half, lines - half];
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

/** Where there are many, a line each says more than the titles of a few. */
function moveLine(move: Move): string[] {
  return [clipped(`  ${move.after.scenario.padEnd(5)} ${moveText(move)}`)];
}

function cellsHeading(moves: readonly Move[], results: readonly Result[]): string[] {
  const fair = moves.filter(({ after }) => after.fault === null);
  const worse = fair.filter((move) => worsening(move) > 0);
  const better = fair.filter((move) => worsening(move) < 0);
  const own = worse.filter(({ after }) => after.blame === "contract").length;
  const faults = moves.length - fair.length;
  const text =
    `Cells that move: ${fair.length} of ${results.filter((r) => r.fault === null).length}; ${better.length} better, ` +
    `${worse.length} worse (${own} by the contract)${faults > 0 ? `; ${faults} more with a fault on purpose` : ""}`;
  return sentences(text);
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
      `The worst, ${result.scenario}: ${verdictText(result.conforming)}${orders ? ` (${orders})` : ""}. ${result.rule.text}`,
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
