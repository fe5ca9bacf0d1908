/** The matrix: a line a scenario, a short verdict a cell, however many columns there are. */
import type { Result, Verdict } from "@dma-buf/compare";
import { bold, fitted, painter } from "../text.js";
import { markOf } from "./marks.js";

/** Columns that a title needs to be told from another. */
const TITLE_MIN = 30;
const ID = 6;
/** A mark; where there is none its space separates. */
const MARK = 1;

type Form = (verdict: Verdict) => string;

/** How verdicts are written: from the longest on, with the width that a column has at least, and what is between two. */
const FORMS: readonly { readonly form: Form; readonly widthMin: number; readonly gap: string }[] = [
  { form: (v) => (v.errno ? `${v.verdict} ${v.errno}@${v.stage}` : word(v)), widthMin: 17, gap: " " },
  { form: (v) => (v.errno ? `${v.errno}@${v.stage}` : word(v)), widthMin: 11, gap: " " },
  { form: word, widthMin: 11, gap: " " },
  // The longest words; six columns fit into 80.
  { form: word, widthMin: 8, gap: "" },
];

function word({ verdict }: Verdict): string {
  return verdict === "NA" ? "-" : verdict;
}

/** How a matrix of these cells is laid out; one for all its sections, so that they stand below each other. */
export interface Layout {
  readonly form: Form;
  readonly isShort: boolean;
  readonly gap: string;
  readonly title: number;
  readonly cells: readonly number[];
}

export function layoutOf(contracts: readonly string[], rows: readonly (readonly Result[])[], columns: number): Layout {
  const longest = Math.max(TITLE_MIN, ...rows.map(([first]) => (first as Result).title.length));
  const layouts = FORMS.map(({ form, widthMin, gap }) => {
    const cells = cellWidths(contracts, rows.flat(), form, widthMin);
    const rest = columns - ID - cells.reduce((sum, width) => sum + gap.length + MARK + width, 0);
    return { form, isShort: form === word, gap, cells, title: Math.min(longest, rest - 1) };
  });
  return layouts.find(({ title }) => title >= TITLE_MIN) ?? (layouts.at(-1) as Layout);
}

function cellWidths(contracts: readonly string[], results: readonly Result[], form: Form, widthMin: number): number[] {
  return contracts.map((id) => {
    const own = results.filter((r) => r.contract === id);
    return Math.max(widthMin, ...own.map((r) => form(r.conforming).length));
  });
}

export function headLines(contracts: readonly string[], { gap, title, cells }: Layout, colour: boolean): string[] {
  const heads = contracts.map((id, i) => headOf(id, cells[i] as number));
  const height = Math.max(...heads.map((h) => h.length));
  return Array.from({ length: height }, (_, line) => {
    const words = heads.map((head, i) => `${gap} ${(head[line] ?? "").padEnd(cells[i] as number)}`).join("");
    return bold(colour, `${" ".repeat(ID + title + 1)}${words}`.trimEnd());
  });
}

/** An id that is too long is broken after a hyphen, and what is too long even then is cut. */
function headOf(id: string, width: number): string[] {
  if (id.length <= width) return [id];
  return id.split(/(?<=-)/).map((part) => fitted(part, width).trimEnd());
}

/** A contract under which the row was not run has an empty cell. */
export function rowLine(contracts: readonly string[], row: readonly Result[], layout: Layout, colour: boolean): string {
  const { form, gap, title, cells } = layout;
  const [first] = row as [Result];
  const paint = painter(colour);
  const verdicts = contracts.map((id, i) => {
    const width = cells[i] as number;
    const result = row.find((r) => r.contract === id);
    if (!result) return `${gap} ${" ".repeat(width)}`;
    const text = form(result.conforming);
    return `${gap}${markOf(result)}${paint(result.conforming.verdict, text)}${" ".repeat(width - text.length)}`;
  });
  return `${first.scenario.padEnd(ID)}${fitted(first.title, title)} ${verdicts.join("")}`.trimEnd();
}
