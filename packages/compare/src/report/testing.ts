/** What the tests of a report share: traces and results written by hand, and real cells of a few scenarios. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { TraceEvent, TraceKind } from "@dma-buf/core";
import type { Explanation, Result } from "../result.js";
import { readScenario } from "../scenario/read.js";
import type { Scenario } from "../scenario/scenario.js";
import { type Collected, collect } from "./collect.js";
import type { ReportInput } from "./html-report.js";

export function scenarioOf(id: string): Scenario {
  const file = fileURLToPath(new URL(`../../scenarios/${id}.yaml`, import.meta.url));
  return readScenario(readFileSync(file, "utf8"), file);
}

export function collected(ids: readonly string[], contracts: readonly string[]): Collected {
  return collect({ catalogue: ids.map(scenarioOf), contracts });
}

export function reportOf(of: Collected): ReportInput {
  return { ...of, version: "1.2.3", command: "npx dma-buf compare --report report.html" };
}

export function event(step: number, task: string, kind: TraceKind, text: string): TraceEvent {
  return { step, task, kind, text };
}

export const OK_RESULT: Result = {
  scenario: "S01",
  title: "one",
  exporter: "vfio-pci",
  importer: "nic",
  importerClass: "faulting",
  packages: ["@dma-buf/exporter-vfio"],
  contract: "a",
  topology: "catalogue",
  binding: "T1",
  fault: null,
  asPosted: { verdict: "OK" },
  implementation: null,
  conforming: { verdict: "OK" },
  blame: "none",
  basis: "derived",
  rule: { kind: "bytes", id: "I1", text: "all bytes arrived" },
  postedRule: null,
  expected: null,
  asExpected: true,
};

export function explanationOf(trace: readonly TraceEvent[], result: Result = OK_RESULT): Explanation {
  return {
    schemaVersion: 2,
    result,
    run: "conforming",
    replayToken: "t",
    trace,
    evidence: { topology: [], accesses: [] },
  };
}
