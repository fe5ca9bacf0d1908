/** Text of a capture, fit for a terminal: a device's name may be anybody's. */

/** Without control characters: ESC begins the sequences that move a cursor or rename a window. */
export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, "");
}

/** As {@link printable}, of several lines: their ends and tabs stay, and the sequences that colour a line go whole. */
export function printableLines(text: string): string {
  return text.replaceAll(/(?![\t\r\n])\p{Cc}(?:\[[\d;?]*[A-Za-z])?/gu, "");
}
