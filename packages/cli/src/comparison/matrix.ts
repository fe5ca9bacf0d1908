/** The matrix: a line a scenario, a short verdict a cell, however many columns there are. */
import type { Result, Verdict } from "@dma-buf/compare";
import { bold, fitted, painter } from "../text.js";
import { markOf } from "./marks.js";

/** Columns that a title needs to be told from another. */
const TITLE_MIN = 34;
const ID = 6;
/** A mark, which also separates. */
const MARK = 1;

type Form = (verdict: Verdict) => string;

/** From the longest on; the last one fits six columns into 80. */
const FORMS: readonly Form[] = [
  (v) => (v.errno ? `${v.verdict} ${v.errno}@${v.stage}` : word(v)),
  (v) => (v.errno ? `${v.errno}@${v.stage}` : word(v)),
  word,
];

function word({ verdict }: Verdict): string {
  return verdict === "NA" ? "-" : verdict;
}

/** How a matrix of these cells is laid out; one for all its sections, so that they stand below each other. */
export interface Layout {
  readonly form: Form;
  readonly title: number;
  readonly cells: readonly number[];
}

export function layoutOf(rows: readonly (readonly Result[])[], columns: number): Layout {
  const longest = Math.max(TITLE_MIN, ...rows.map(([first]) => (first as Result).title.length));
  const layouts = FORMS.map((form) => {
    const cells = cellWidths(rows, form);
    const rest = columns - ID - cells.reduce((sum, width) => sum + MARK + width, 0);
    return { form, cells, title: Math.min(longest, rest - 1) };
  });
  return layouts.find(({ title }) => title >= TITLE_MIN) ?? (layouts.at(-1) as Layout);
}

function cellWidths(rows: readonly (readonly Result[])[], form: Form): number[] {
  const [first = []] = rows;
  return first.map((_, i) => Math.max(8, ...rows.map((row) => form((row[i] as Result).conforming).length)));
}

export function headLines(contracts: readonly string[], { title, cells }: Layout, colour: boolean): string[] {
  const heads = contracts.map((id, i) => headOf(id, cells[i] as number));
  const height = Math.max(...heads.map((h) => h.length));
  return Array.from({ length: height }, (_, line) => {
    const words = heads.map((head, i) => ` ${(head[line] ?? "").padEnd(cells[i] as number)}`).join("");
    return bold(colour, `${" ".repeat(ID + title + 1)}${words}`.trimEnd());
  });
}

/** An id that is too long is broken after a hyphen, and what is too long even then is cut. */
function headOf(id: string, width: number): string[] {
  if (id.length <= width) return [id];
  return id.split(/(?<=-)/).map((part) => fitted(part, width).trimEnd());
}

export function rowLine(row: readonly Result[], { form, title, cells }: Layout, colour: boolean): string {
  const [first] = row as [Result];
  const paint = painter(colour);
  const verdicts = row.map((result, i) => {
    const text = form(result.conforming);
    const space = " ".repeat(Math.max(0, (cells[i] as number) - text.length));
    return `${markOf(result)}${paint(result.conforming.verdict, text)}${space}`;
  });
  return `${first.scenario.padEnd(ID)}${fitted(first.title, title)} ${verdicts.join("")}`.trimEnd();
}
