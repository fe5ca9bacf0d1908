/** What there is to say of one cell, below its verdict. */
import type { Result, VerdictKind } from "@dma-buf/compare";
import { isUnexpected, postedDiffers, verdictText } from "../verdict.js";

/** A sentence, and the verdict whose colour it has. */
export interface Said {
  readonly text: string;
  readonly kind?: VerdictKind;
}

export function cellLines(result: Result): Said[] {
  const { asPosted, blame, basis, rule, unknown } = result;
  return [
    ...(blame === "none" ? [] : [{ text: `blame: ${blame}; basis: ${basis}` }]),
    ...(postedDiffers(result) ? [{ text: `as posted: ${verdictText(asPosted)}`, kind: asPosted.verdict }] : []),
    { text: rule.text },
    ...ordersSaid(result),
    ...(unknown
      ? [
          {
            text: `if not (${unknown.assumed}: unknown): ${verdictText(unknown.otherwise)}`,
            kind: unknown.otherwise.verdict,
          },
        ]
      : []),
    ...expectedSaid(result),
  ];
}

/** `99 orders, all tried`. */
export function ordersText({ schedules }: Result): string | null {
  if (!schedules) return null;
  const { explored, exhausted, bound } = schedules;
  const how = exhausted ? "all tried" : bound ? `not all: ${bound}` : "not all tried";
  return `${explored} ${explored === 1 ? "order" : "orders"}, ${how}`;
}

function ordersSaid(result: Result): Said[] {
  const text = ordersText(result);
  return text === null ? [] : [{ text }];
}

function expectedSaid(result: Result): Said[] {
  const { expected, asExpected, contested } = result;
  if (!expected || asExpected) return [];
  const was = `${verdictText(expected.conforming)}, as posted ${verdictText(expected.asPosted)}, blame ${expected.blame}`;
  return isUnexpected(result)
    ? [{ text: `NOT AS EXPECTED: ${was}`, kind: "CORRUPT" }]
    : [{ text: `contested, the catalogue says ${was}: ${contested}` }];
}
