/** Reports as files: what kind a file's name asks for, and what is in it. */
import { extname } from "node:path";
import {
  type Collected,
  type Comparison,
  type Explanation,
  perfettoTrace,
  type ReportInput,
  renderHtml,
  renderMarkdown,
} from "@dma-buf/compare";
import type { Cli } from "./commands/cli.js";
import { InputError } from "./errors.js";
import { checkPlace, save } from "./save.js";
import { type Series, seriesReport } from "./series/report.js";
import { shellWords } from "./series/shell.js";

const KINDS = {
  ".html": "one page with every cell, its trace and its topology",
  ".md": "a comment for a pull request",
  ".txt": "a mail about what a proposal changes",
} as const;
export type ReportKind = keyof typeof KINDS;

/** Looks before anything is run whether there is a place for it. @throws InputError */
export function reportKind(file: string): ReportKind {
  const kind = extname(file);
  if (!isKind(kind)) {
    const known = Object.entries(KINDS).map(([name, what]) => `${name} (${what})`);
    throw new InputError(
      `${file}: nobody writes a report ${kind ? `*${kind}` : "without an extension"}. Name one of ${known.join(", ")}`,
    );
  }
  checkPlace(file);
  return kind;
}

/** @throws InputError for a name that Perfetto would not open */
export function checkTraceFile(file: string): void {
  if (extname(file) !== ".json")
    throw new InputError(`${file}: a trace is JSON, which Perfetto opens. Name a file *.json`);
  checkPlace(file);
}

/** What a page shows besides the cells themselves. */
export type ForPage = Collected & Required<Pick<ReportInput, "explain">>;

/** What a report is made of: the cells that are shown, and what its kind needs besides. */
export interface Material {
  readonly shown: Comparison;
  /** Of a mail. */
  readonly series: Series | null;
  /** Of a page, also of cells that are not shown. */
  readonly collected: ForPage | null;
}

export function reportText(kind: ReportKind, { shown, series, collected }: Material, { version, argv }: Cli): string {
  const made = { version, command: ["dma-buf", ...shellWords(argv)].join(" ") };
  if (kind === ".md") return renderMarkdown(shown, made);
  return kind === ".html"
    ? renderHtml({ ...(collected as ForPage), comparison: shown, ...made })
    : seriesReport(series as Series);
}

export function writeReport(file: string, text: string, { io }: Cli): void {
  save(file, text);
  io.err(`dma-buf: ${file} written\n`);
}

export function writeTrace(file: string, explanation: Explanation, { io }: Cli): void {
  save(file, `${JSON.stringify(perfettoTrace(explanation))}\n`);
  io.err(`dma-buf: ${file} written. Open it in https://ui.perfetto.dev\n`);
}

function isKind(kind: string): kind is ReportKind {
  return kind in KINDS;
}
