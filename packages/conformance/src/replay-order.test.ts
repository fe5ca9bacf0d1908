/** A breach names the order in which it was found; the same order shows it again. */
import { linux73, pfn } from "@dma-buf/core";
import { expect, it } from "vitest";
import { check } from "./check.js";
import { driverOf } from "./driver.js";
import { replayOrder } from "./replay-order.js";
import { exporterOf, importerOf, Plain } from "./testing.js";
import type { ExporterSubject, ImporterSubject } from "./subject.js";

const late = driverOf(linux73, { move: ["lock", "invalidate", "copy", "fences", "unlock"] });

/** Every breach that says how to see it, and what is seen then. */
function seen(subject: ExporterSubject | ImporterSubject): [said: string, again: string][] {
  return check(subject).flatMap(({ breaches }) =>
    breaches.flatMap((said) => {
      const [, what = "", race = "", token = ""] = /^(.*); see .*"(.*)", "(.*)"\)$/.exec(said) ?? [];
      const again = replayOrder(subject, race, token).breaches;
      return again.map((message): [string, string] => [what.replace(/^\S+: (?=STALE)/, ""), message]);
    }),
  );
}

it("a breach of an exporter is seen again in the order that it names", () => {
  const both = seen(late);
  expect(both.length).toBe(2);
  for (const [said, again] of both) expect(again).toBe(`linux-7.3/dma_buf_invalidate_mappings: ${said}`);
});

it("a breach of an importer is seen again in the order that it names", () => {
  class NoRetry extends Plain {
    protected override readonly retries: boolean = false;
  }
  const [[said, again] = ["", ""]] = seen(importerOf(pfn, NoRetry));
  expect(said).toMatch(/installed what was revoked meanwhile/);
  expect(again).toBe(`pfn/move_notify: ${said}`);
});

it("the trace shows who accessed what, and when the exporter was done", () => {
  const { trace } = replayOrder(exporterOf(linux73), "fenced: move against attach, map and access", "dbs1:");
  const lines = trace.map(({ task, text }) => `${task}: ${text}`);
  expect(lines).toContain("exporter: move() returned");
  expect(lines.find((line) => line.includes("fenced reaches"))).toMatch(
    /^importer: fenced reaches 0x\w+, told at step \d+$/,
  );
});

it("a race that the plugin has not, and a token that is none, are refused", () => {
  const importer = { ...importerOf(linux73), capabilities: [] };
  expect(() => replayOrder(importer, "use against revoke", "dbs1:")).toThrow(/has no race "use against revoke".*none/);
  expect(() => replayOrder(late, "zap", "dbs1:")).toThrow(/zap: revoke against attach, map and access/);
  expect(() => replayOrder(late, "zap: revoke against attach, map and access", "1.2")).toThrow(/not a replay token/);
});
