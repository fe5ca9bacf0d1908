/** Who can be whose peer, for people: the matrix of a host, and one pair with its path, hop by hop. */
import type { P2pMapType } from "@dma-buf/core";
import {
  type Maybe,
  type P2pAnswer,
  type P2pMatrix,
  type PciFunction,
  type PeerClass,
  type PeerPath,
  type Unknown,
} from "@dma-buf/pci";
import { nameOf } from "./function-name.js";
import type { Io } from "./io.js";
import type { Direction, MatrixReport, PairReport } from "./p2p-report.js";
import { bold, textWidth, wrap } from "./text.js";

const LETTER: Readonly<Record<Maybe<P2pMapType>, string>> = {
  "bus-address": "B",
  "through-host-bridge": "H",
  "not-supported": ".",
  unknown: "?",
};

const WORDS: Readonly<Record<Maybe<P2pMapType>, string>> = {
  "bus-address": "bus address: requests stay below the switch",
  "through-host-bridge": "through the host bridge",
  "not-supported": "not supported",
  unknown: "unknown",
};

export function renderMatrix(report: MatrixReport, matrix: P2pMatrix, io: Io): string {
  const width = textWidth(io);
  const letters = Object.entries(LETTER).map(([type, letter]) => `${letter} ${WORDS[type as Maybe<P2pMapType>]}`);
  return [
    bold(io.colour, `dma-buf p2p: ${report.machine}, by the rules of Linux ${report.kernel}`),
    "",
    ...wrap("A client of the column, a BAR of the row. Functions that the rule cannot tell apart share a row.", width),
    "",
    ...grid(report, width),
    "",
    ...wrap(letters.join("; "), width),
    "",
    ...matrix.classes.flatMap((c, i) => classLines(c, i + 1, width)),
    "",
    ...becauseTexts(matrix.unknown).flatMap((text) => [...wrap(`Unknown, because ${text}`, width), ""]),
    ...wrap(
      "This is what Linux allows. Whether a root complex really forwards is another question: name two devices to see their path.",
      width,
    ),
    ...skippedLine(report.skipped, width),
  ].join("\n");
}

/** In blocks of as many columns as fit. */
function grid({ matrix }: MatrixReport, width: number): string[] {
  const cell = String(matrix.length).length + 1;
  const perBlock = Math.max(1, Math.floor((width - 5) / cell));
  const lines: string[] = [];
  for (let from = 0; from < matrix.length; from += perBlock) {
    const columns = matrix.slice(from, from + perBlock).map((_, i) => from + i);
    if (from > 0) lines.push("");
    lines.push(`     ${columns.map((c) => String(c + 1).padStart(cell)).join("")}`);
    for (const [row, rulings] of matrix.entries()) {
      const letters = columns.map((c) => {
        const ruling = rulings[c];
        return (ruling ? LETTER[ruling] : " ").padStart(cell);
      });
      lines.push(`${String(row + 1).padStart(4)} ${letters.join("")}`.trimEnd());
    }
  }
  return lines;
}

function classLines({ functions, below, root }: PeerClass, number: number, width: number): string[] {
  const [first, ...others] = functions as [PciFunction, ...PciFunction[]];
  const place = below ? `below ${below.address}` : root.isLost ? "below a bridge that is not shown" : "on a root bus";
  const names = others.length > 0 ? ` and ${others.map((f) => shortened(first, f)).join(" ")}` : "";
  return wrap(`${first.address}${names}, ${place}: ${nameOf(first)}`, width - 5).map((line, i) =>
    `${i === 0 ? String(number).padStart(4) : "    "} ${line}`.trimEnd(),
  );
}

/** Without what it has in common with the first: `.1`, `02.0`. */
function shortened(first: PciFunction, { address }: PciFunction): string {
  const dot = address.lastIndexOf(".");
  if (address.slice(0, dot) === first.address.slice(0, dot)) return address.slice(dot);
  const colon = address.lastIndexOf(":");
  return address.slice(0, colon) === first.address.slice(0, colon) ? address.slice(colon + 1) : address;
}

/** Facts that lack the same capture share a sentence. */
function becauseTexts(facts: readonly Unknown[]): string[] {
  const lacked = new Map(facts.map((f) => [`${f.because} ${f.capture}`, f]));
  return Array.from(lacked.values(), ({ because, capture }) => {
    const alike = facts.filter((f) => f.because === because && f.capture === capture);
    const names = [...new Set(alike.map((f) => f.what))];
    return `${names.join(", ")} ${names.length === 1 ? "is" : "are"} not known: ${because}. To know it: ${capture}`;
  });
}

/** What the capture holds and could not be read may be what an answer hangs on. */
function skippedLine(skipped: MatrixReport["skipped"], width: number): string[] {
  if (skipped.length === 0) return [];
  const what =
    skipped.length === 1
      ? "1 piece of the capture was skipped"
      : `${skipped.length} pieces of the capture were skipped`;
  return ["", ...wrap(`${what}: dma-buf machine lists them.`, width)];
}

export function renderPair(report: PairReport, io: Io): string {
  const width = textWidth(io);
  return [
    bold(io.colour, `dma-buf p2p: ${report.machine}, by the rules of Linux ${report.kernel}`),
    ...report.directions.flatMap((d) => ["", ...directionLines(d, width, io)]),
    ...(report.assumedOffset ? ["", ...wrap(report.assumedOffset, width)] : []),
    ...skippedLine(report.skipped, width),
  ].join("\n");
}

function directionLines(d: Direction, width: number, io: Io): string[] {
  const target = d.bar ? `BAR ${d.bar.index} of ${d.provider} at ${d.bar.base}` : d.provider;
  const head = bold(io.colour, `${d.client} to ${target}`);
  if (!d.bar) return [head, ...indent(["nothing to reach: it has no memory BAR that the capture shows"], width)];
  return [
    head,
    ...indent([`Linux: ${WORDS[d.verdict]}`], width),
    ...d.answers.flatMap((answer) => answerLines(answer, d.answers.length > 1, width)),
    ...becauseTexts(d.unknown).flatMap((text) => indent([`unknown, because ${text}`], width, 4)),
    ...d.paths.flatMap((path) => pathLines(path, width)),
  ];
}

function answerLines(answer: P2pAnswer, several: boolean, width: number): string[] {
  const lead = several ? `either ${WORDS[answer.mapType]}: ` : "";
  const far = answer.distance >= 0 ? `; distance ${answer.distance}` : "";
  return [
    ...indent([`${lead}${answer.reason}${far}`], width, 4),
    ...(answer.remedy ? indent([`to change it: ${answer.remedy}`], width, 4) : []),
  ];
}

function pathLines(path: PeerPath, width: number): string[] {
  const ends = path.arrives === "unknown" ? "unknown whether it arrives" : path.arrives ? "arrives" : "does not arrive";
  return [
    ...indent([`Hardware, if it sends ${path.label}: ${ends}, because ${path.because}`], width),
    ...path.hops.flatMap((hop) => indent([`${hop.at} ${hop.action}`], width, 4)),
    ...(path.toKnow ? indent([`to know it: ${path.toKnow}`], width, 4) : []),
  ];
}

function indent(texts: readonly string[], width: number, by = 2): string[] {
  return texts.flatMap((text) => wrap(text, width - by).map((line) => `${" ".repeat(by)}${line}`));
}
