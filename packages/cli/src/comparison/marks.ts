/** What stands before a verdict in the matrix when there is more to say of the cell. */
import type { Result } from "@dma-buf/compare";
import { isUnexpected, postedDiffers } from "../verdict.js";

/** The first that applies is shown. */
const MARKS: readonly {
  readonly mark: string;
  readonly means: string;
  readonly applies: (result: Result) => boolean;
}[] = [
  { mark: "!", means: "not as expected", applies: isUnexpected },
  { mark: "~", means: "contested", applies: (r) => !r.asExpected && r.contested !== undefined },
  { mark: "?", means: "hangs on what is not known", applies: (r) => r.unknown !== undefined },
  { mark: "*", means: "the code that was posted ends otherwise", applies: postedDiffers },
];

/** One character; a space where there is nothing more to say. */
export function markOf(result: Result): string {
  return MARKS.find(({ applies }) => applies(result))?.mark ?? " ";
}

/** How a refusal is written, where that wants a word. */
const REFUSALS = {
  whole: null,
  errno: "EINVAL@attach: REFUSED with that errno, at that stage",
  word: "REFUSED with an errno: in a wider terminal",
} as const;
export type RefusalForm = keyof typeof REFUSALS;

/** What the marks among these cells mean, and how refusals are written. */
export function legend(results: readonly Result[], refusal: RefusalForm): string[] {
  const used = new Set(results.map(markOf));
  const marks = MARKS.filter(({ mark }) => used.has(mark)).map(({ mark, means }) => `${mark} ${means}`);
  const kinds = new Set(results.map((r) => r.conforming.verdict));
  const form = kinds.has("REFUSED") ? REFUSALS[refusal] : null;
  return [...marks, ...(kinds.has("NA") ? ["- not applicable"] : []), ...(form === null ? [] : [form])];
}
