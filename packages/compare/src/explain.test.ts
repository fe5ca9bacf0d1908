import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { readScenarios } from "./catalogue.js";
import { compare, explain } from "./compare.js";
import { loadModules } from "./modules.js";
import type { Guest } from "./players.js";
import { versus } from "./versus.js";

const catalogue = readScenarios();
const example = (name: string): string =>
  fileURLToPath(new URL(`../../../examples/own-package/${name}`, import.meta.url));
const { guests: importers } = await loadModules({ importerModules: [example("my-importer.mjs")] });
const { guests: exporters } = await loadModules({ exporterModules: [example("my-exporter.mjs")] });

/** The same guest, by another name and for other contracts, which throws. */
const broken: readonly Guest[] = exporters.map((guest) => ({
  ...guest,
  plugin: {
    ...guest.plugin,
    create: () => () => {
      throw new RangeError("no");
    },
  },
}));

describe("one cell, with packages of somebody else", () => {
  it("is theirs: the result is that of the comparison, the trace that of its run", () => {
    const options = { catalogue, guests: importers };
    const { result, trace } = explain({ ...options, scenario: "S34a", contract: "pfn", guests: [] });
    expect([result.packages.includes("my-nic"), trace.length > 0]).toEqual([false, true]);
    const theirs = explain({ ...options, scenario: "S34b", contract: "pfn" });
    expect(theirs.result).toEqual(compare({ ...options, scenarios: ["S34b"], contracts: ["pfn"] }).results[0]);
    expect([theirs.result.packages.includes("my-nic"), theirs.result.conforming.verdict]).toEqual([true, "STALE"]);
    expect(theirs.trace.length).toBeGreaterThan(0);
  });

  it.each([
    ["a contract that it does not declare", "S34b", "vma", importers, /my-nic plays no part in S34b under vma: choose/],
    ["a scenario without its part", "S17a", "pfn", importers, /my-nic plays no part in S17a under pfn/],
    [
      "one that breaks down",
      "S01a",
      "dma-address",
      broken,
      /S01a under dma-address has no run to show: my-exporter threw/,
    ],
  ])("is refused for %s", (_what, scenario, contract, guests, message) => {
    expect(() => explain({ catalogue, scenario, contract, guests })).toThrow(message);
  });

  it("has no posted run: nobody posted the pair", () => {
    const of = { catalogue, scenario: "S34b", contract: "pfn", guests: importers, run: "asPosted" } as const;
    expect(() => explain(of)).toThrow(/S34b under pfn has no posted run/);
  });

  it("is set against another, where they play in both", () => {
    const of = { catalogue, scenario: "S34b", contract: "pfn", guests: importers };
    expect(versus({ ...of, versus: "pfn" }).sides[0].verdict.verdict).toBe("STALE");
    expect(() => versus({ ...of, versus: "dma-address" })).toThrow(/my-nic plays no part in S34b under dma-address/);
  });
});

describe("the orders that are tried", () => {
  it.each([0, -1, 1.5, Number.NaN])("cannot be %s", (orders) => {
    expect(() => compare({ catalogue, scenarios: ["S34b"], orders })).toThrow(
      /orders must be default, all, or a whole number/,
    );
  });

  it.each([1, 3] as const)("are %s where so many are asked for", (orders) => {
    const of = { catalogue, scenario: "S34b", contract: "pfn", orders };
    expect(explain(of).result.schedules?.explored).toBe(orders);
    expect(versus({ ...of, versus: "pfn-locked" }).sides.map((s) => s.result.schedules?.explored)).toEqual([
      orders,
      orders,
    ]);
  });
});
