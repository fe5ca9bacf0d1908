/** Scenarios with what decided: contracts side by side where there is room, and grouped by how they end where there is none. */
import { groupBy, type Result } from "@dma-buf/compare";
import { type Paint, painter, wrap } from "../text.js";
import { postedDiffers, verdictText } from "../verdict.js";
import { cellLines, type Said } from "./cell-lines.js";

/** Narrower than that, a sentence is a column of single words. */
const CELL_MIN = 36;
const BAR = " | ";

export function detailLines(row: readonly Result[], width: number, colour: boolean): string[] {
  const paint = painter(colour);
  const cell = Math.floor((width - BAR.length * (row.length - 1)) / row.length);
  return [
    ...aboutLines(row[0] as Result, width),
    ...(cell < CELL_MIN ? grouped(row, width, paint) : abreast(row, cell, paint)),
  ];
}

function aboutLines(
  { scenario, title, exporter, importer, importerClass, topology, binding, fault }: Result,
  width: number,
): string[] {
  const place = topology === "host" ? `on this host: ${binding}` : `on the catalogue's topology ${binding}`;
  const about = [
    `${exporter} to ${importer}${importerClass ? ` (${importerClass})` : ""}, ${place}`,
    ...(fault ? [`on purpose, by the ${fault.party}: ${fault.what}`] : []),
  ];
  return [...wrap(`${scenario}  ${title}`, width), ...about.flatMap((text) => indented(text, width, 6))];
}

function abreast(row: readonly Result[], cell: number, paint: Paint): string[] {
  const columns = row.map((result) => [
    { text: verdictText(result.conforming), kind: result.conforming.verdict },
    ...cellLines(result).flatMap(({ text, ...rest }) =>
      indented(text, cell, 2).map((line) => ({ text: line, ...rest })),
    ),
  ]);
  const height = Math.max(...columns.map((c) => c.length));
  return Array.from({ length: height }, (_, i) =>
    columns
      .map((lines) => padded(lines[i], cell, paint))
      .join(BAR)
      .trimEnd(),
  );
}

/** Contracts that end alike share a paragraph; what decided is told as the first of them has it. */
function grouped(row: readonly Result[], width: number, paint: Paint): string[] {
  const alike = groupBy(row, (r) =>
    [verdictText(r.conforming), r.blame, postedDiffers(r) && verdictText(r.asPosted)].join(),
  );
  return [...alike.values()].flatMap((results) => {
    const [first] = results as [Result];
    const verdict = verdictText(first.conforming);
    const ids = results.map((r) => r.contract).join(", ");
    const head = indented(`${verdict}  ${ids}`, width, 2);
    return [
      ...head.map((line) => line.replace(verdict, paint(first.conforming.verdict, verdict))),
      ...cellLines(first).flatMap((said) =>
        indented(said.text, width, 10).map((line) => painted({ ...said, text: line }, paint)),
      ),
    ];
  });
}

function indented(text: string, width: number, indent: number): string[] {
  return wrap(text, width - indent).map((line) => `${" ".repeat(indent)}${line}`);
}

function painted({ text, kind }: Said, paint: Paint): string {
  return kind ? paint(kind, text) : text;
}

function padded(line: Said | undefined, width: number, paint: Paint): string {
  if (!line) return " ".repeat(width);
  return `${painted(line, paint)}${" ".repeat(Math.max(0, width - line.text.length))}`;
}
