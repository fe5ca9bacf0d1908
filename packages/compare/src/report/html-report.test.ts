import { panelsOf } from "@dma-buf/config/report";
import { describe, expect, it } from "vitest";
import type { Result } from "../result.js";
import { renderHtml } from "./html-report.js";
import { collected, OK_RESULT, reportOf } from "./testing.js";

const real = collected(["S34c", "S18a"], ["dma-address", "pfn"]);
const page = renderHtml(reportOf(real));

/** A report of one cell. */
function reportOfOne(change: Partial<Result>): string {
  const result = { ...OK_RESULT, ...change };
  const comparison = {
    schemaVersion: 2,
    machine: result.title,
    contracts: [result.contract],
    results: [result],
  } as const;
  const scenarios = [{ id: result.scenario, title: result.title, question: result.title, source: result.title }];
  return renderHtml(reportOf({ comparison, explanations: [], scenarios, references: real.references }));
}

describe("the report as a file", () => {
  it("asks for nothing from outside", () => {
    expect(page).not.toMatch(/(src|href)="(?!#)|url\(|@import|https?:/);
    expect(page).toContain("default-src 'none'");
  });

  it("is the same when it is made again, and has no date", () => {
    expect(renderHtml(reportOf(collected(["S34c", "S18a"], ["dma-address", "pfn"])))).toBe(page);
    expect(page).not.toMatch(/20\d\d-\d\d-\d\d/);
  });

  it("has each cell as a link, with what filters ask for", () => {
    expect(page).toMatch(
      /data-c="pfn" data-v="STALE" data-p="NA" data-b="\w+" data-basis="derived"[^>]*><a href="#S34c\/pfn"/,
    );
    expect(page.match(/role="gridcell"/g)).toHaveLength(4);
  });

  it("says what decided, what was expected, and how to run it again", () => {
    const text = panelsOf(page, "S34c");
    const result = real.comparison.results.find((r) => r.scenario === "S34c" && r.contract === "pfn");
    expect(text).toContain("STALE");
    expect(text).toContain(`${result?.schedules?.explored} orders`);
    expect(text).toContain("The lock is gone when the call returns");
    expect(text).toContain("npx dma-buf explain S34c --contract pfn");
    expect(text).toContain("replay(&quot;dbs1:");
  });

  it("shows the path, the hops and the entries that were walked", () => {
    const text = panelsOf(page, "S18a");
    expect(text).toContain(
      'aria-label="path: 0000:02:00.0, 0000:00:02.0, host bridge 0000:00, 0000:00:01.0, 0000:01:00.0"',
    );
    expect(text).toMatch(/<td>3<\/td><td>0<\/td><td><code>0x[0-9a-f]+<\/code><\/td><td><code>0x[0-9a-f]{16}<\/code>/);
    expect(text).toMatch(/aria-label="lanes: task set-up, task main, plugin [^"]*, lock resv/);
  });

  it("lets no text of others become markup", () => {
    const evil = `"><script>alert(1)</script>`;
    const text = reportOfOne({ title: evil, contract: evil, rule: { ...OK_RESULT.rule, text: evil } });
    expect(text).not.toContain('"><script>');
    // Three of its own, and one that holds the panels.
    expect(text.match(/<script/g)).toHaveLength(4);
    expect(panelsOf(text, "S01")).not.toContain("<script");
  });

  it("says whose doing a verdict is beside that verdict, and what is not known", () => {
    const [bad, other] = [{ verdict: "CORRUPT" }, { verdict: "STALE" }] as const;
    expect(reportOfOne({ asPosted: bad, blame: "exporter" })).toContain(
      "<b>OK</b><small>posted CORRUPT<i>exporter</i></small>",
    );
    expect(reportOfOne({ asPosted: bad, conforming: other, blame: "contract" })).toContain(
      "<b>STALE</b><i>contract</i><small>posted CORRUPT</small>",
    );
    const text = reportOfOne({ unknown: { assumed: "it forwards", otherwise: bad } });
    expect(text).toContain("<b>OK</b><small>unknown; else CORRUPT</small>");
    expect(text).toContain("under a: OK, unknown, else CORRUPT; as posted OK");
    expect(text).toContain("Unknown: ");
    expect(reportOfOne({})).not.toContain("Unknown: ");
  });

  it("says what the verdicts mean that it has, and no other", () => {
    const text = reportOfOne({ conforming: { verdict: "UNSPEC" } });
    expect(text).toContain('data-v="UNSPEC">UNSPEC</b></dt><dd>the contract is silent</dd>');
    expect(text).not.toContain(">STALE</b></dt>");
  });

  it("says which cells are contested, and which are not as expected", () => {
    expect(reportOfOne({ asExpected: false })).toContain("not as the catalogue expects");
    const { asPosted, conforming, blame, basis } = OK_RESULT;
    const text = reportOfOne({ contested: "because", expected: { asPosted, conforming, blame, basis } });
    expect(panelsOf(text, "S01")).toContain("<b>Contested.</b> because");
  });
});
