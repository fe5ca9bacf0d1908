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
export function entry(label: string, width: number, text: string): string[] {
  return beside(`  ${label.padEnd(width)} `, ascii(text), COLUMNS);
}

/** As many entries as go into `linesMax`, and how many there are besides. */
export function cut(entries: readonly (readonly string[])[], linesMax: number): string[] {
  if (entries.flat().length <= linesMax) return entries.flat();
  const kept: string[] = [];
  let count = 0;
  for (const lines of entries) {
    if (kept.length + lines.length > linesMax - 1) break;
    kept.push(...lines);
    count++;
  }
  return [...kept, `  ... and ${entries.length - count} more`];
}
