import type { Explanation, Result } from "@dma-buf/compare";
import { contracts, defineContract, dmaAddress, linux73, pfn } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { resultOf, widthOf } from "../testing.js";
import { ascii, cut, entry } from "./ascii.js";
import { movesBetween } from "./moves.js";
import { type Series, seriesReport } from "./report.js";
import { ruleChanges } from "./rules.js";

const title = "Query races revoke, importer without any retry";
const stale = { conforming: { verdict: "STALE" }, blame: "contract" } as const;
const cells = (count: number, some: Partial<Result> = {}) =>
  Array.from({ length: count }, (_, i) => resultOf({ scenario: `S${i + 1}`, title, ...some }));

const explanation = (scenario: string, events: number): Explanation => ({
  schemaVersion: 2,
  result: resultOf({
    ...stale,
    scenario,
    rule: { kind: "bytes", id: "I2", text: "König’s device read the BAR after it was given up ".repeat(9) },
  }),
  run: "conforming",
  replayToken: "dbs1:0.1",
  evidence: { topology: [], accesses: [] },
  trace: Array.from({ length: events }, (_, i) => ({
    step: i,
    task: i % 2 ? "handler" : "main",
    kind: i === events - 1 ? ("access" as const) : ("call" as const),
    text: `0000:04:00.0 → dma_buf_map_attachment(vfio-pci 0000:38:00.0, bidirectional) number ${i}`,
  })),
});

const series = (before: readonly Result[], after: readonly Result[], some: Partial<Series> = {}): Series => ({
  before: { contract: linux73, results: before },
  after: { contract: pfn, results: after },
  machine: "laptop.txt",
  version: "1.2.3",
  argv: ["compare", "--base", "linux-7.3", "--contract", "./my rfc.mjs", "--changed-only", "--report", "x.txt"],
  explain: (scenario) => explanation(scenario, 30),
  ...some,
});

/** What every report must be. */
function checkForm(report: string): void {
  expect(report).toMatch(/^[\n -~]*\n$/);
  expect(report).not.toMatch(/ $/m);
  expect(widthOf(report)).toBeLessThanOrEqual(72);
  expect(report.trimEnd().split("\n").length).toBeLessThanOrEqual(60);
}

describe("the report", () => {
  it.each([0, 1, 5, 40, 150])(
    "of %d cells that move is ASCII, 72 columns, 60 lines, and the same each time",
    (count) => {
      const make = () => seriesReport(series(cells(150), [...cells(count, stale), ...cells(150).slice(count)]));
      checkForm(make());
      expect(make()).toBe(make());
    },
  );

  it.each(contracts.flatMap((a) => contracts.filter((b) => b !== a).map((b) => [a.id, b.id, a, b] as const)))(
    "of %s against %s keeps its form",
    (_a, _b, before, after) => {
      const report = seriesReport(
        series([], [], {
          before: { contract: before, results: cells(90) },
          after: { contract: after, results: cells(90, stale) },
        }),
      );
      checkForm(report);
      expect(report).toMatch(/and \d+ more/);
    },
  );

  it("says what moves, the worst of it with its trace, and what that rests on", () => {
    const race = { schedules: { explored: 99, exhausted: true } } as const;
    const bounded = { explored: 6, exhausted: false, bound: "at most 2 preemptions" } as const;
    const fault = { party: "importer", what: "x" } as const;
    const before = cells(5, { basis: "lab" });
    const after = [
      ...cells(1, { ...race, unknown: { assumed: "it forwards", otherwise: { verdict: "CORRUPT" } } }),
      resultOf({
        scenario: "S2",
        title,
        conforming: { verdict: "REFUSED", errno: "EINVAL", stage: "attach" },
        blame: "platform",
      }),
      resultOf({ scenario: "S3", title, ...stale, schedules: bounded }),
      resultOf({ scenario: "S4", title, conforming: { verdict: "NA" } }),
      resultOf({ scenario: "S5", title, fault, conforming: { verdict: "DISCLOSE" }, blame: "importer" }),
    ];
    const report = seriesReport(series(before, after));
    checkForm(report);
    const flat = report.replaceAll(/\s+/g, " ");
    for (const words of [
      "Two axes differ: pfn extends Linux 6.13, linux-7.3 Linux 7.3.",
      "Cells that move: 3 of 4, 0 better, 2 worse (1 by the contract), 1 neither.",
      "With a fault on purpose 1, 0 better, 1 worse (0 by the contract)",
      `S3 OK -> STALE, by the contract: ${title} S2 OK -> REFUSED EINVAL@attach, by the platform`,
      "S5 OK -> DISCLOSE, by the importer (a fault on purpose)",
      `The worst, S3, "T": STALE. Konig's device`,
      "main call 04:00.0 -> dma_buf_map",
      "linux-7.3 rests on lab 4;",
      "105 in 2 races, all there are in 1; the others bounded (at most 2 preemptions)",
      "it forwards; otherwise S1 CORRUPT",
      "CPU memory ordering; 1 scenario that does not apply",
      "dma-buf 1.2.3, on laptop.txt",
      "--contract './my rfc.mjs'",
    ])
      expect(flat).toContain(words);
  });

  it("groups what moves alike where there is much, worst first, and tells of what got better too", () => {
    const refused = {
      conforming: { verdict: "REFUSED", errno: "EINVAL", stage: "attach" },
      blame: "contract",
    } as const;
    const crash = { conforming: { verdict: "CRASH" }, blame: "platform" } as const;
    const before = [...cells(10), ...cells(50, refused).slice(10)];
    const after = [...cells(9, stale), resultOf({ scenario: "S10", title, ...crash }), ...cells(50).slice(10)];
    const lines = seriesReport(series(before, after)).split("\n");
    const at = lines.indexOf("  OK -> STALE, by the contract: S1 S2 S3 S4 S5 S6 S7 S8 S9");
    expect(lines.slice(at + 1, at + 4)).toEqual([
      "  OK -> CRASH, by the platform: S10",
      "  REFUSED EINVAL@attach -> OK: S11 S12 S13 S14 S15 S16 S17 S18 S19",
      "      S20 S21 S22 and 28 more",
    ]);
  });

  it("of two revisions says how each stands to the base", () => {
    const base = { contract: linux73, results: cells(4) };
    const [v1, v2] = ["v1", "v2"].map((t) => defineContract(linux73, { id: "rfc", title: t }));
    const report = seriesReport(
      series([], [], {
        base,
        before: { contract: v1 as typeof pfn, results: cells(4, stale) },
        after: { contract: v2 as typeof pfn, results: [...cells(1, stale), ...cells(4).slice(1)] },
      }),
    );
    expect(report).toContain("rfc, this revision against the one before");
    expect(report.replaceAll(/\s+/g, " ")).toContain(
      "Against linux-7.3, the revision before moves 4 cells and this one 1; 3 differ between the two.",
    );
  });
});

describe("rules", () => {
  it("say call, lock, errno, lifetime and policy, and nothing of the words", () => {
    const mine = defineContract(linux73, {
      id: "mine",
      title: "x",
      remove: ["isRevocable"],
      change: {
        mapDmaBuf: {
          resv: "free",
          owner: "whoever asks",
          does: "Something else.",
          errors: { ENOTTY: "it moves", EINVAL: "no" },
        },
        unmapDmaBuf: { errors: { ...linux73.rows.unmapDmaBuf?.errors } },
      },
      lifeCycle: { attached: [] },
      policy: { invalidate: "mandatory" },
    });
    const changes = ruleChanges(linux73, mine);
    expect(changes.map((c) => c.kind)).toEqual(["call", "lock", "life", "errno", "policy", "life"]);
    const text = changes.map((c) => c.text).join("\n");
    for (const words of [
      /^- dma_buf\w* \(framework\)/,
      /map_dma_buf: held by the caller -> not held by the caller/,
      /-> whoever asks/,
      /\+ ENOTTY/,
      /invalidate: optional -> mandatory/,
      /attached: - dma_buf_map/,
    ])
      expect(text).toMatch(words);
    expect(text).not.toContain("Something else");
  });

  it("of one contract do not change; a call that is new says its lock and errnos", () => {
    expect(ruleChanges(pfn, pfn)).toEqual([]);
    expect(ruleChanges(dmaAddress, pfn)[0]?.text).toBe(
      "+ get_pfn (exporter): reservation held, may sleep, EINVAL, ENODEV, EOPNOTSUPP, ENOMEM, EBUSY",
    );
  });
});

it("moves: worst first, faults that the contract forbids last, models that nobody verified after what was checked", () => {
  const fault = { party: "importer", what: "x" } as const;
  const before = [
    resultOf({ scenario: "S1", ...stale }),
    ...["S2", "S3", "S4", "S5", "S6", "S7", "S8"].map((scenario) => resultOf({ scenario })),
    resultOf({ scenario: "S9", basis: "platform, unverified" }),
  ];
  const after = [
    resultOf({ scenario: "S1" }),
    resultOf({ scenario: "S2" }),
    resultOf({ scenario: "S3", conforming: { verdict: "DEGRADED" } }),
    resultOf({ scenario: "S4", ...stale }),
    resultOf({ scenario: "S5", fault, conforming: { verdict: "DISCLOSE" } }),
    resultOf({ scenario: "S6", conforming: { verdict: "NA" } }),
    resultOf({ scenario: "S7", conforming: { verdict: "DEGRADED" }, blame: "contract" }),
    resultOf({ scenario: "S8", fault, ...stale }),
    resultOf({ scenario: "S9", conforming: { verdict: "DISCLOSE" }, blame: "contract" }),
  ];
  expect(movesBetween(before, after).map((m) => m.after.scenario)).toEqual([
    "S4",
    "S8",
    "S7",
    "S3",
    "S9",
    "S1",
    "S6",
    "S5",
  ]);
});

it("text becomes ASCII; a list is cut between entries", () => {
  expect(ascii("König → “x” … 日")).toBe('Konig -> "x" ... ?');
  const entries = ["a", "b", "c"].map((name) => entry(name, 2, "word ".repeat(20).trim()));
  expect(cut(entries, 4)).toHaveLength(3);
  expect(cut(entries, 4).at(-1)).toBe("  ... and 2 more");
  expect(cut(entries, 6)).toHaveLength(6);
});
