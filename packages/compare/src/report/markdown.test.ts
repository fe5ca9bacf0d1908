import { describe, expect, it } from "vitest";
import type { Comparison, Result } from "../result.js";
import { renderMarkdown } from "./markdown.js";
import { OK_RESULT } from "./testing.js";

const STALE: Partial<Result> = { conforming: { verdict: "STALE" }, blame: "contract" };

function comparisonOf(...results: readonly Result[]): Comparison {
  return { schemaVersion: 2, machine: "host", contracts: [...new Set(results.map((r) => r.contract))], results };
}

const two = (...changes: readonly Partial<Result>[]): Comparison =>
  comparisonOf(...changes.map((change, i) => ({ ...OK_RESULT, contract: ["a", "b"][i] as string, ...change })));

/** Cells of a table's line: a bar that is escaped ends none. */
const cellsIn = (line: string): number => line.split(/(?<!\\)\|/).length - 2;

describe("the report for a pull request", () => {
  it("has the rows in which contracts differ, and no others", () => {
    const same = { ...OK_RESULT, scenario: "S02" };
    const { results } = two({}, STALE);
    const text = renderMarkdown(comparisonOf(...results, same, { ...same, contract: "b" }));
    expect(text).toContain("| **S01** one | OK | **STALE** _contract_ |");
    expect(text).not.toContain("S02");
    expect(text).toContain("### 1 of 2 scenarios differ, or are bad");
  });

  it("has a row in which all are bad by their contract, or not as expected", () => {
    expect(renderMarkdown(two(STALE, STALE))).toContain("### 1 of 1 scenario");
    expect(renderMarkdown(two({ asExpected: false }, {}))).toContain("OK _≠ expected_");
  });

  it("says whose doing a verdict is beside that verdict, what is not known, and what the words mean", () => {
    const asPosted = { verdict: "CORRUPT" } as const;
    const unknown = { assumed: "it forwards", otherwise: { verdict: "FAULT" } } as const;
    const text = renderMarkdown(two({ asPosted, blame: "exporter" }, { ...STALE, asPosted, unknown }));
    expect(text).toContain("| OK _exporter: posted CORRUPT_ | **STALE** _contract, unknown, else FAULT_ |");
    expect(text).toContain("`a`: OK, as posted CORRUPT _exporter_ (derived)");
    expect(text).toContain("- **STALE**: an access reached memory after it was given up");
    expect(text).toContain("- **CORRUPT**: bytes were lost or went elsewhere");
    expect(text).not.toContain("**HANG**");
  });

  it("says where we disagree, and how many orders that hangs on", () => {
    const schedules = { explored: 10, exhausted: true };
    const contested = "The source says otherwise.";
    const text = renderMarkdown(two({ asExpected: false, contested, schedules }, STALE));
    expect(text).toContain("| OK _contested_ |");
    expect(text).toContain("10 orders, all tried. **Contested:** The source says otherwise.");
  });

  it("counts injected faults apart", () => {
    const fault = { party: "importer", what: "no retry" } as const;
    expect(renderMarkdown(two({ ...STALE, fault }, {}))).toContain("| `a` | 0 | 0 | 0 | 0 | 1 of 1 | 0 |");
  });

  it("lets no text of others become markup, a cell, or a mention", () => {
    const title = "a | b <img src=x> [l](u) @torvalds";
    const text = renderMarkdown(
      two({ ...STALE, title, rule: { kind: "bytes", id: "I1", text: "x | <b>\n# y" } }, { title }),
    );
    const lines = text.split("\n").filter((line) => line.startsWith("|") && line.includes("S01"));
    expect(lines.map(cellsIn)).toEqual([3]);
    expect(text).not.toMatch(/<img|<b>|\[l\]\(u\)|@torvalds|^# y/m);
  });

  it("fits into one comment, and says what was left out", () => {
    const long = { ...STALE, rule: { ...OK_RESULT.rule, text: "x".repeat(5000) } };
    const many = Array.from({ length: 40 }, (_, i) =>
      two(long, {}).results.map((r) => ({ ...r, scenario: `S${i}` })),
    ).flat();
    const text = renderMarkdown(comparisonOf(...many));
    expect(text.length).toBeLessThan(65_536);
    expect(text).toMatch(/Details of \d+ more scenarios are left out/);
  });

  it("says with what it was made", () => {
    expect(renderMarkdown(two({}, {}), { version: "1.2.3", command: "npx dma-buf compare" })).toContain(
      "version 1.2.3 · `npx dma-buf compare`",
    );
  });
});
