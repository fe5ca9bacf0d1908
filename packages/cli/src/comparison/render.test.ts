import type { Comparison, Result } from "@dma-buf/compare";
import { describe, expect, it } from "vitest";
import { comparisonOf, ioOf, widthOf } from "../testing.js";
import { renderComparison } from "./render.js";

const CONTRACTS = ["dma-address", "vma", "pfn", "pfn-locked", "annotated-address", "linux-7.3"];
const title = "Query races revoke, importer without any retry, and a title that goes on for a while";
const refused = { verdict: "REFUSED", errno: "EOPNOTSUPP", stage: "attach" } as const;
const row = (scenario: string, some: Partial<Result> = {}) =>
  CONTRACTS.map((contract) => ({ scenario, title, contract, ...some }));
const six = [
  ...row("S1"),
  ...row("S2a", { conforming: refused, blame: "contract" }),
  ...row("S3", { conforming: { verdict: "DISCLOSE" } }),
];
const all = { details: Infinity, filter: "" };
const matrixOf = (comparison: Comparison, columns: number): string =>
  renderComparison(comparison, ioOf(columns), { ...all, details: 0 }).split("What it comes to")[0] ?? "";

describe("in a terminal", () => {
  it.each([80, 100, 120, 200])("of %d columns six contracts fit, each by its name", (columns) => {
    const text = renderComparison(comparisonOf(...six), ioOf(columns), all);
    expect(widthOf(text)).toBeLessThanOrEqual(columns);
    for (const words of [/REFUSED/, /linux-7\.3$|7\.3$/m, /What decided/]) expect(text).toMatch(words);
  });

  it.each([1, 60, 80, 81, 93, 100, 118, 140, 200, 500])(
    "of %d columns no cell touches another, and nothing is cut",
    (columns) => {
      const unknown = { assumed: "it forwards", otherwise: { verdict: "OK" } } as const;
      const marked = row("a-long-id-1", { conforming: { verdict: "DISCLOSE" }, unknown });
      const text = matrixOf(comparisonOf(...six, ...marked), columns);
      expect(text).not.toMatch(/[^ \n]\?DISCLOSE|DISCLOSE\S|\.\./);
      expect(text.match(/ \?DISCLOSE/g)).toHaveLength(6);
      const words = text.replaceAll(/\s+/g, " ");
      expect(words.split(title.slice(-6))).toHaveLength(5);
      for (const id of ["S1 Query", "a-long-id-1 Query", "annotated-"]) expect(words).toContain(id);
    },
  );

  it("of 80 columns a cell is a word, of 200 it has errno and stage", () => {
    expect(matrixOf(comparisonOf(...six), 80)).not.toContain("EOPNOTSUPP");
    const wide = matrixOf(comparisonOf(...six), 200);
    expect(wide.match(/EOPNOTSUPP@attach/g)).toHaveLength(6);
    expect(wide).toContain("EINVAL@attach: REFUSED with that errno");
  });

  it("a title stands beside its cells, below itself where it is long, and above them where there is no room", () => {
    const lines = (columns: number, count: number): string[] => {
      const text = matrixOf(comparisonOf(...six.slice(0, count)), columns).split("\n");
      return text.slice(text.findIndex((line) => line.startsWith("S1")));
    };
    expect(lines(200, 2)[0]).toBe(`S1  ${title}  OK                 OK`);
    expect(lines(80, 2).slice(0, 2)).toEqual([
      "S1  Query races revoke, importer without any retry,     OK           OK",
      "    and a title that goes on for a while",
    ]);
    expect(lines(80, 6).slice(0, 3)).toEqual([
      "S1  Query races revoke, importer without any retry, and a title that goes on for",
      "    a while",
      "      OK          OK          OK          OK          OK          OK",
    ]);
  });

  it.each([80, 100])("a short title stands beside its cells too, in %d columns", (columns) => {
    const text = matrixOf(comparisonOf(...row("S2a", { title: "Short", conforming: refused })), columns);
    expect(text).toMatch(/^S2a  Short {2}/m);
  });

  it("two contracts stand side by side, six are grouped by how they end", () => {
    const text = (results: readonly Partial<Result>[]) => renderComparison(comparisonOf(...results), ioOf(100), all);
    expect(text(six.slice(0, 2))).toMatch(/^OK +\| OK$/m);
    expect(text(six)).toContain(`OK  ${CONTRACTS.slice(0, 5).join(", ")}`);
  });

  it("has colour only where it is wanted", () => {
    const has = (colour: boolean) => renderComparison(comparisonOf(...six), ioOf(100, colour), all).includes("\u001B");
    expect([has(false), has(true)]).toEqual([false, true]);
  });
});

describe("sections", () => {
  const fault = { party: "importer", what: "no retry of its own" } as const;
  const results: Partial<Result>[] = [
    { scenario: "S1", contract: "a" },
    { scenario: "S1", contract: "b" },
    { scenario: "S2", contract: "a" },
    { scenario: "S2", contract: "b", conforming: { verdict: "STALE" }, blame: "contract" },
    { scenario: "S2b", contract: "a", conforming: { verdict: "STALE" }, blame: "importer" },
    { scenario: "S2b", contract: "b", conforming: { verdict: "STALE" }, blame: "platform" },
    { scenario: "S3", contract: "a", fault },
    { scenario: "S3", contract: "b", fault, conforming: { verdict: "DISCLOSE" }, blame: "contract" },
  ];
  const text = renderComparison(comparisonOf(...results), ioOf(100), all);

  it("put what differs before what agrees, and faults on purpose apart", () => {
    expect(text).toMatch(/differ \(1\)\nS2 [^]*agree \(2\)\nS1 [^]*on purpose \(1\)\nS3 /);
    expect(text).toContain("on purpose, by the importer: no retry of its own");
  });

  it("count faults on purpose apart, and against a contract only what is its doing", () => {
    for (const line of [
      /^scenarios that apply +3 3$/m,
      /^work \(OK\) +2 1$/m,
      /^bad by the contract +0 1$/m,
      /^ {2}STALE +0 1$/m,
      /^bad by somebody else +1 1$/m,
      /^injected faults +1 1$/m,
      /^ {2}do no harm \(OK\) +1 0$/m,
    ])
      expect(text.replaceAll(/(?<=\d) +(?=\d)/g, " ")).toMatch(line);
    expect(text).toContain("b: unsafe by the contract, even with the best plugins: S2 STALE.");
    expect(text).not.toMatch(/^ {2}DISCLOSE/m);
  });

  it("of nothing say so", () => {
    expect(renderComparison(comparisonOf(), ioOf(80), { ...all, filter: "--verdict HANG" })).toMatch(
      /0 scenarios \(--verdict HANG\)[^]*No cell is like that/,
    );
  });
});

it("a contract under which a row was not run has an empty cell, in its column", () => {
  const results = [
    { scenario: "S1", contract: "a" },
    { scenario: "S1", contract: "b", conforming: { verdict: "STALE" } },
    { scenario: "S2", contract: "b" },
  ] as const;
  const lines = renderComparison(comparisonOf(...results), ioOf(100), { ...all, details: 0 }).split("\n");
  const [head, stale, alone] = ["  a ", "S1 ", "S2 "].map(
    (start) => lines.find((l) => l.includes(start) && !l.includes("What")) ?? "",
  );
  expect([stale?.indexOf("STALE"), alone?.indexOf("OK")]).toEqual([head?.indexOf("b"), head?.indexOf("b")]);
});

it("a cell says what is not as expected, contested, unknown, and how many orders were tried", () => {
  const stale = { asExpected: false, conforming: { verdict: "STALE" } } as const;
  const text = renderComparison(
    comparisonOf(
      { ...stale, schedules: { explored: 7, exhausted: false, bound: "at most 2 preemptions" } },
      { ...stale, scenario: "S2", contested: "kvm_mmu_invalidate_begin() says otherwise" },
      { scenario: "S3", unknown: { assumed: "it forwards", otherwise: { verdict: "CORRUPT" } } },
      { scenario: "S4", asPosted: refused, blame: "exporter", basis: "posted" },
      { scenario: "S5", conforming: { verdict: "NA" } },
    ),
    ioOf(120),
    all,
  );
  for (const words of [
    /^S1 .*!STALE$/m,
    /^S2 .*~STALE$/m,
    /^S3 .*\?OK$/m,
    /^S4 .*\*OK$/m,
    /^S5 .* -$/m,
    "NOT AS EXPECTED: OK, as posted NA, blame none",
    "7 orders, not all: at most 2 preemptions",
    "contested, the catalogue says OK, as posted NA, blame none: kvm_mmu_invalidate_begin() says otherwise",
    "if not (it forwards: unknown): CORRUPT",
    "blame: exporter; basis: posted",
    "as posted: REFUSED EOPNOTSUPP@attach",
    "NOT as expected: 1 of 5 cells: S1 a.",
    "! not as expected",
  ])
    expect(text).toMatch(words);
});
