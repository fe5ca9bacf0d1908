/** The comparison as a table: a row a scenario, a column a contract, the rows that differ on top. */
import type { Comparison, Result, Verdict, VerdictKind } from "@dma-buf/compare";
import type { Io } from "./io.js";
import { groupBy } from "./group.js";
import { summary } from "./summary.js";
import { bold, type Paint, painter, wrap, textWidth } from "./text.js";

/** One line of a cell, and the verdict whose colour it has. */
interface Line {
  readonly text: string;
  readonly kind?: VerdictKind;
}

export function verdictText({ verdict, errno, stage, also }: Verdict): string {
  const where = errno ? ` ${errno}@${stage}` : "";
  return `${verdict}${where}${also ? ` (also ${also.join(", ")})` : ""}`;
}

export function renderComparison(comparison: Comparison, io: Io): string {
  const rows = [...groupBy(comparison.results, (r) => r.scenario).values()];
  const differ = rows.filter((row) => new Set(row.map((r) => verdictText(r.conforming))).size > 1);
  const agree = rows.filter((row) => !differ.includes(row));
  const width = textWidth(io);
  const parts = [`dma-buf compare: ${comparison.machine}`, ""];
  if (differ.length > 0 && agree.length > 0)
    parts.push(bold(io.colour, `Where the contracts differ (${differ.length})`), "");
  parts.push(...section(differ, width, io));
  if (differ.length > 0 && agree.length > 0) parts.push(bold(io.colour, `Where they agree (${agree.length})`), "");
  parts.push(...section(agree, width, io));
  parts.push(...summary(comparison).flatMap((line) => wrap(line, width)));
  return parts.join("\n");
}

function section(rows: readonly Result[][], width: number, io: Io): string[] {
  const first = rows[0];
  if (!first) return [];
  const paint = painter(io.colour);
  const cell = Math.floor((width - 3 * (first.length - 1)) / first.length);
  const head = first
    .map((r) => r.contract.padEnd(cell))
    .join(" | ")
    .trimEnd();
  return [
    bold(io.colour, head),
    "=".repeat(width),
    ...rows.flatMap((row) => [...renderRow(row, width, cell, paint), "-".repeat(width)]),
    "",
  ];
}

function renderRow(row: readonly Result[], width: number, cell: number, paint: Paint): string[] {
  const [first] = row as [Result];
  const place =
    first.topology === "host" ? `on this host: ${first.binding}` : `on the catalogue's topology ${first.binding}`;
  const title = wrap(`${first.scenario}  ${first.title}`, width);
  const where = wrap(`${first.exporter} to ${first.importer} (${first.importerClass}), ${place}`, width - 6).map(
    (l) => `      ${l}`,
  );
  const columns = row.map((result) => cellLines(result, cell));
  const height = Math.max(...columns.map((c) => c.length));
  const body = Array.from({ length: height }, (_, i) =>
    columns
      .map((lines) => padded(lines[i], cell, paint))
      .join(" | ")
      .trimEnd(),
  );
  return [...title, ...where, ...body];
}

function cellLines(result: Result, width: number): Line[] {
  const { conforming, asPosted, unknown, schedules } = result;
  const lines: Line[] = [{ text: verdictText(conforming), kind: conforming.verdict }];
  const say = (text: string, kind?: VerdictKind): void => {
    for (const line of wrap(text, width - 2)) lines.push({ text: `  ${line}`, ...(kind ? { kind } : {}) });
  };
  if (asPosted.verdict !== "NA" && verdictText(asPosted) !== verdictText(conforming))
    say(`as posted: ${verdictText(asPosted)}, by the ${result.blame}`, asPosted.verdict);
  say(result.rule);
  if (schedules) say(`${schedules.explored} orders, ${schedules.exhausted ? "all tried" : "not all tried"}`);
  if (unknown)
    say(`if not (${unknown.assumed}: unknown): ${verdictText(unknown.otherwise)}`, unknown.otherwise.verdict);
  if (result.expected && !result.asExpected)
    say(
      `${result.contested ? "contested" : "NOT AS EXPECTED"}: ${verdictText(result.expected.conforming)}, as posted ${verdictText(result.expected.asPosted)}, blame ${result.expected.blame}`,
      "CORRUPT",
    );
  return lines;
}

function padded(line: Line | undefined, width: number, paint: Paint): string {
  const text = line?.text ?? "";
  const space = " ".repeat(Math.max(0, width - text.length));
  return (line?.kind ? paint(line.kind, text) : text) + space;
}
