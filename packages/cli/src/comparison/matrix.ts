/** The matrix: a line a scenario, a short verdict a cell, however many columns there are. */
import type { Result, Verdict } from "@dma-buf/compare";
import { bold, painter, wrap } from "../text.js";
import { idParts, longestPart } from "./heads.js";
import { markOf, type RefusalForm } from "./marks.js";

/** Columns that a title needs to be read at a glance; with fewer it stands above its cells. */
const TITLE_MIN = 30;
/** A blank before each cell, and a mark or a blank more. */
const GAP = 2;

interface Form {
  readonly write: (verdict: Verdict) => string;
  readonly refusal: RefusalForm;
  /** How wide a column is at least. */
  readonly widthMin: number;
}

const BARE: Form = { write: word, refusal: "word", widthMin: 8 };
/** How verdicts are written, the longest first. */
const FORMS: readonly Form[] = [
  { write: (v) => (v.errno ? `${v.verdict} ${v.errno}@${v.stage}` : word(v)), refusal: "whole", widthMin: 17 },
  { write: (v) => (v.errno ? `${v.errno}@${v.stage}` : word(v)), refusal: "errno", widthMin: 11 },
  BARE,
];

function word({ verdict }: Verdict): string {
  return verdict === "NA" ? "-" : verdict;
}

/** How a matrix of these cells is laid out; one for all its sections, so that they stand below each other. */
export interface Layout {
  readonly form: Form;
  readonly id: number;
  readonly title: number;
  /** Does a title stand above its cells, and not beside them? */
  readonly isAbove: boolean;
  readonly cells: readonly number[];
}

/** A title is broken before an errno is left out, and never cut. */
export function layoutOf(contracts: readonly string[], rows: readonly (readonly Result[])[], columns: number): Layout {
  const firsts = rows.map(([first]) => first as Result);
  const id = Math.max(...firsts.map((r) => r.scenario.length)) + 2;
  const longest = Math.max(...firsts.map((r) => r.title.length));
  const layouts = FORMS.map((form) => {
    const cells = cellWidths(contracts, rows.flat(), form);
    const rest = columns - id - cells.reduce((sum, width) => sum + GAP + width, 0);
    return { form, id, title: Math.min(longest, rest), isAbove: false, cells };
  });
  const found = layouts.find(
    ({ form, title }) => title >= (form.refusal === "whole" ? longest : Math.min(longest, TITLE_MIN)),
  );
  if (found) return found;
  const form = { ...BARE, widthMin: Math.max(BARE.widthMin, Math.floor((columns - id) / contracts.length) - GAP) };
  return { form, id, title: columns - id, isAbove: true, cells: cellWidths(contracts, rows.flat(), form) };
}

function cellWidths(contracts: readonly string[], results: readonly Result[], { write, widthMin }: Form): number[] {
  return contracts.map((id) => {
    const own = results.filter((r) => r.contract === id);
    return Math.max(widthMin, longestPart(id), ...own.map((r) => write(r.conforming).length));
  });
}

export function headLines(
  contracts: readonly string[],
  { id, title, isAbove, cells }: Layout,
  colour: boolean,
): string[] {
  const heads = contracts.map((contract, i) => idParts(contract, cells[i] as number));
  const height = Math.max(...heads.map((h) => h.length));
  return Array.from({ length: height }, (_, line) => {
    const words = heads.map((head, i) => `  ${(head[line] ?? "").padEnd(cells[i] as number)}`).join("");
    return bold(colour, `${" ".repeat(isAbove ? id : id + title)}${words}`.trimEnd());
  });
}

export function rowLines(
  contracts: readonly string[],
  row: readonly Result[],
  layout: Layout,
  colour: boolean,
): string[] {
  const { id, title, isAbove } = layout;
  const [{ scenario, title: text }] = row as [Result];
  const cells = cellsText(contracts, row, layout, colour);
  const [first = "", ...rest] = wrap(text, title).map((line, i) => `${(i === 0 ? scenario : "").padEnd(id)}${line}`);
  if (isAbove) return [first, ...rest, `${" ".repeat(id)}${cells}`.trimEnd()];
  return [`${first.padEnd(id + title)}${cells}`.trimEnd(), ...rest];
}

/** A contract under which the row was not run has an empty cell. */
function cellsText(
  contracts: readonly string[],
  row: readonly Result[],
  { form, cells }: Layout,
  colour: boolean,
): string {
  const paint = painter(colour);
  const texts = contracts.map((id, i) => {
    const width = cells[i] as number;
    const result = row.find((r) => r.contract === id);
    if (!result) return " ".repeat(GAP + width);
    const text = form.write(result.conforming);
    return ` ${markOf(result)}${paint(result.conforming.verdict, text)}${" ".repeat(width - text.length)}`;
  });
  return texts.join("");
}
