/** Text in a terminal: wrapping, and colour where there is one. */
import { styleText } from "node:util";
import type { VerdictKind } from "@dma-buf/compare";
import type { Io } from "./io.js";

/** The columns to write sentences in: what the terminal has, from 60 to 110. */
export function textWidth({ columns }: Io): number {
  return Math.max(60, Math.min(columns, 110));
}

/** The columns to write tables in: what the terminal has, from 80 on; beyond 200 nobody finds the next line. */
export function tableWidth({ columns }: Io): number {
  return Math.max(80, Math.min(columns, 200));
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

/** {@link wrap}, with every line but the first `indent` columns further in; `width` counts the indent. */
export function hanging(text: string, width: number, indent: number): string[] {
  return wrap(text, width - indent).map((line, i) => (i === 0 ? line : `${" ".repeat(indent)}${line}`));
}

/** `text` beside a label, and below itself where it takes more lines; `width` counts the label. */
export function beside(label: string, text: string, width: number): string[] {
  return wrap(text, width - label.length).map((line, i) => `${i === 0 ? label : " ".repeat(label.length)}${line}`);
}

/** As many items as fit beside each other on a line. */
export function packed(items: readonly string[], width: number): string[] {
  const lines: string[] = [];
  for (const item of items) {
    const longer = `${lines.at(-1)}   ${item}`;
    if (lines.length > 0 && longer.length <= width) lines[lines.length - 1] = longer;
    else lines.push(item);
  }
  return lines;
}

/** The first `max` of them, and how many there are besides. */
export function someOf(items: readonly string[], max: number): string {
  const more = items.length - max;
  return more > 0 ? `${items.slice(0, max).join(", ")} and ${more} more` : items.join(", ");
}

function pieces(word: string, width: number): string[] {
  return word.length <= width ? [word] : (word.match(new RegExp(`.{1,${width}}`, "g")) ?? []);
}

const COLOURS: Partial<Record<VerdictKind, "green" | "yellow" | "red" | "gray">> = {
  OK: "green",
  REFUSED: "yellow",
  DEGRADED: "yellow",
  UNSPEC: "gray",
  NA: "gray",
};

export type Paint = (kind: VerdictKind, text: string) => string;

export function painter(colour: boolean): Paint {
  return (kind, text) => (colour ? styleText(COLOURS[kind] ?? "red", text, { validateStream: false }) : text);
}

export function bold(colour: boolean, text: string): string {
  return colour ? styleText("bold", text, { validateStream: false }) : text;
}
