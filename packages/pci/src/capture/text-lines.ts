/** Text as people paste it, mail it and cut it, undone: what comes out are the lines that lspci wrote. */

import { printableLines } from "./printable.js";

export interface Line {
  /** Counted from 1, in the text as it came. */
  readonly number: number;
  /** Without indentation, single-spaced. */
  readonly text: string;
}

export interface TextLines {
  readonly lines: readonly Line[];
  /** The last line, where it stops in the middle: what stands in it may be half a number. */
  readonly cut: Line | null;
  /** Does it end with an empty line, as lspci ends every function? */
  readonly endsFunction: boolean;
}

/** Mail programs wrap at 72 columns or more; a shorter line with a long word after it was wrapped as well. */
const WRAP_COLUMNS = 40;
const TAB_COLUMNS = 8;
/** Lines that are complete though no line break follows: a size, or 16 bytes. */
const COMPLETE = /\]$|^[0-9a-f]{2,3}:(?: [0-9a-f]{2}){16}$/i;
/** A row of bytes is short enough for every mail. */
const ROW = /^[0-9a-f]{2,3}: [0-9a-f]{2}\b/i;
/** What lspci begins a line with: an address, a row of bytes, a label, a BAR without a label. */
const BEGINS = [
  /^(?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]\b/i,
  ROW,
  /^[A-Za-z][\w /().#-]{0,40}:/,
  /^(?:\[virtual\] )?(?:Memory|I\/O ports|Expansion ROM) at\b/,
  /^Region\b/,
  // Cut before their colon.
  /^(?:Memory be|Prefetchable me|I\/O be|A[CT]SC)/,
  /^(?:!!!|```|\$ |# )/,
];

export function textLines(text: string): TextLines {
  const raw = printableLines(unquotedPrintable(text)).split(/\r\n|\r|\n/);
  const endsFunction = raw.length > 1 && raw.slice(-2).every((line) => unquoted(line).trim() === "");
  const lines = joined(raw);
  const last = lines.at(-1);
  const isCut = unquoted(raw.at(-1) ?? "").trim() !== "" && last !== undefined && !COMPLETE.test(last.text);
  return { lines: isCut ? lines.slice(0, -1) : lines, cut: isCut ? last : null, endsFunction };
}

/** A mail's source has `=3D` for `=`, and `=` at the end of a line that goes on. */
function unquotedPrintable(text: string): string {
  if (!/primary=3D|\[size=3D/.test(text)) return text;
  return text
    .replaceAll(/=\r?\n(?:> ?)*/g, "")
    .replaceAll(/=([0-9A-F]{2})/g, (_, code: string) => String.fromCharCode(parseInt(code, 16)));
}

/** Without the marks of a mail, and of a page from a browser. */
function unquoted(line: string): string {
  return line.replace(/^\s*(?:[>|] ?)+/, "").replace(/^\s*(?:<\/?(?:pre|code|p|div|span|tt)\b[^>]*>)+/i, "");
}

function joined(raw: readonly string[]): Line[] {
  const lines: Line[] = [];
  let goesOn = false;
  for (const [i, whole] of raw.entries()) {
    const text = unquoted(whole).trim().replaceAll(/\s+/g, " ");
    const last = lines.at(-1);
    if (goesOn && last && text !== "" && !BEGINS.some((begin) => begin.test(text)))
      lines[lines.length - 1] = { ...last, text: `${last.text} ${text}` };
    else if (text !== "") lines.push({ number: i + 1, text });
    goesOn = text !== "" && columns(whole) >= WRAP_COLUMNS && !ROW.test(text);
  }
  return lines;
}

function columns(line: string): number {
  const tabs = line.length - line.replaceAll("\t", "").length;
  return line.length + tabs * (TAB_COLUMNS - 1);
}
