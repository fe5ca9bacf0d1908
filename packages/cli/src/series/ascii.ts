/** Text that any mailer leaves as it is: ASCII, 72 columns. */
import { beside, wrap } from "../text.js";

export const COLUMNS = 72;

const SPELLED: Readonly<Record<string, string>> = {
  "→": "->",
  "–": "-",
  "—": "-",
  "…": "...",
  "“": '"',
  "”": '"',
  "’": "'",
  "×": "x",
  ß: "ss",
};

/** Letters without their accents, a few signs spelled out, and a question mark for what is left. */
export function ascii(text: string): string {
  return text
    .replaceAll(/[^\u0020-\u007E]/g, (sign) => SPELLED[sign] ?? sign)
    .normalize("NFKD")
    .replaceAll(/[\u0300-\u036F]/g, "")
    .replaceAll(/[^\u0020-\u007E]/gu, "?");
}

/** Sentences below each other. */
export function sentences(text: string): string[] {
  return wrap(ascii(text), COLUMNS);
}

/** An entry of a list: a label of `width` columns, and the text beside it. */
export function entry(label: string, width: number, text: string): Told {
  return { lines: beside(`  ${label.padEnd(width)} `, ascii(text), COLUMNS), count: 1 };
}

/** What a list tells in some lines, and of how many things. */
export interface Told {
  readonly lines: readonly string[];
  readonly count: number;
}

/** As many entries as go into `linesMax`, and how many things there are besides. */
export function cut(entries: readonly Told[], linesMax: number): string[] {
  if (linesOf(entries).length <= linesMax) return linesOf(entries);
  const kept: string[] = [];
  let left = entries.reduce((sum, { count }) => sum + count, 0);
  for (const { lines, count } of entries) {
    if (kept.length + lines.length > linesMax - 1) break;
    kept.push(...lines);
    left -= count;
  }
  return [...kept, `  ... and ${left} more`];
}

export function linesOf(entries: readonly Told[]): string[] {
  return entries.flatMap(({ lines }) => lines);
}
