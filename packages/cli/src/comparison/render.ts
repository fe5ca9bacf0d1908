/** A comparison as text: the matrix, some scenarios with what decided, and what it comes to. */
import type { Comparison, Result } from "@dma-buf/compare";
import type { Io } from "../io.js";
import { bold, tableWidth, textWidth, wrap, packed } from "../text.js";
import { rowsOf } from "../verdict.js";
import { detailLines } from "./details.js";
import { legend } from "./marks.js";
import { headLines, layoutOf, rowLines } from "./matrix.js";
import { sectionsOf } from "./sections.js";
import { summaryLines } from "./summary.js";

export interface Shown {
  /** How many scenarios are told with what decided. */
  readonly details: number;
  /** What was filtered out, in words; empty: nothing. */
  readonly filter: string;
}

export function renderComparison(comparison: Comparison, io: Io, { details, filter }: Shown): string {
  const rows = rowsOf(comparison.results);
  const many = `${rows.length} ${rows.length === 1 ? "scenario" : "scenarios"}${filter ? ` (${filter})` : ""}`;
  const title = wrap(`dma-buf compare: ${comparison.machine}, ${many}`, textWidth(io));
  if (rows.length === 0) return [...title, "", "No cell is like that."].join("\n");
  return [
    ...title,
    "",
    ...matrix(comparison, rows, io),
    ...told(rows, io, details),
    ...summaryLines(comparison, io),
  ].join("\n");
}

function matrix({ contracts, results }: Comparison, rows: readonly Result[][], io: Io): string[] {
  const layout = layoutOf(contracts, rows, tableWidth(io));
  const sections = sectionsOf(rows).flatMap(({ heading, rows: own }) => [
    bold(io.colour, `${heading} (${own.length})`),
    ...own.flatMap((row) => rowLines(contracts, row, layout, io.colour)),
    "",
  ]);
  const marks = legend(results, layout.form.refusal);
  return [
    ...headLines(contracts, layout, io.colour),
    ...sections,
    ...(marks.length > 0 ? [...packed(marks, tableWidth(io)), ""] : []),
  ];
}

function told(rows: readonly Result[][], io: Io, details: number): string[] {
  const own = rows.slice(0, details);
  if (own.length === 0) return [];
  const width = textWidth(io);
  const heading =
    own.length === rows.length
      ? "What decided"
      : `What decided in the first ${own.length === 1 ? "one" : own.length} (--details all shows the others)`;
  return [
    bold(io.colour, heading),
    "=".repeat(width),
    ...own.flatMap((row) => [...detailLines(row, width, io.colour), "-".repeat(width)]),
    "",
  ];
}
