/** Text in a terminal: wrapping, and colour where there is one. */
import { styleText } from "node:util";
import type { VerdictKind } from "@dma-buf/compare";
import type { Io } from "./io.js";

/** The columns to write in: what the terminal has, from 60 to 110. */
export function textWidth({ columns }: Io): number {
  return Math.max(60, Math.min(columns, 110));
}

/** Breaks `text` at spaces into lines of at most `width` columns; a word that is longer is broken. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ").flatMap((w) => pieces(w, width))) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

function pieces(word: string, width: number): string[] {
  return word.length <= width ? [word] : (word.match(new RegExp(`.{1,${width}}`, "g")) ?? []);
}

const COLOURS: Partial<Record<VerdictKind, "green" | "yellow" | "red" | "gray">> = {
  OK: "green",
  REFUSED: "yellow",
  DEGRADED: "yellow",
  NA: "gray",
};

export type Paint = (kind: VerdictKind, text: string) => string;

export function painter(colour: boolean): Paint {
  return (kind, text) => (colour ? styleText(COLOURS[kind] ?? "red", text, { validateStream: false }) : text);
}

export function bold(colour: boolean, text: string): string {
  return colour ? styleText("bold", text, { validateStream: false }) : text;
}
