import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { dmaBufPlugin, gpuImporter } from "@dma-buf/importer-gpu/dma-address";
import { describe, expect, it } from "vitest";
import { readScenarios } from "./catalogue.js";
import { compare, explain } from "./compare.js";
import { loadModules } from "./modules.js";
import type { Guest } from "./players.js";
import { readScenario } from "./scenario/read.js";
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
    ["one whose side breaks a rule on purpose", "S34c", "pfn", importers, /my-nic plays no part in S34c under pfn/],
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

  it("has no run in the order of another where it breaks down in that one alone", () => {
    let left = Infinity;
    let made = 0;
    const [guest] = importers as [Guest];
    const create: Guest["plugin"]["create"] = (options) => {
      made++;
      if (left-- <= 0) throw new RangeError("no");
      return guest.plugin.create(options);
    };
    const guests = [{ ...guest, plugin: { ...guest.plugin, create } }];
    const both = () => versus({ catalogue, scenario: "S34b", contract: "pfn", versus: "pfn", guests });
    both();
    left = made - 1;
    expect(both).toThrow(/S34b under pfn has no run in that order: /);
  });

  it("is set against another, where they play in both", () => {
    const of = { catalogue, scenario: "S34b", contract: "pfn", guests: importers };
    expect(versus({ ...of, versus: "pfn" }).sides[0].verdict.verdict).toBe("STALE");
    expect(() => versus({ ...of, versus: "dma-address" })).toThrow(/my-nic plays no part in S34b under dma-address/);
  });
});

describe("an importer that forgets its fence in the reservation", () => {
  /** As S37c, but the memory moves away below the job. */
  const text = readFileSync(new URL("../scenarios/S37c.yaml", import.meta.url), "utf8");
  const moves = text.replace("kind: vfio-pci", "kind: gpu").replace("exporter: revoke", "exporter: evict");
  const guest = (fences: boolean): Guest => ({
    plugin: { ...dmaBufPlugin, name: "my-gpu", create: (options) => gpuImporter({ ...(options as object), fences }) },
    part: "gpu",
  });

  it.each([
    [true, "OK", "none"],
    [false, "FAULT", "importer"],
  ])("fences: %s is %s", (fences, verdict, blame) => {
    const [result] = compare({
      catalogue: [readScenario(moves, "moves.yaml")],
      contracts: ["dma-address"],
      guests: [guest(fences)],
    }).results;
    expect([result?.conforming.verdict, result?.blame, result?.packages]).toEqual([
      verdict,
      blame,
      ["@dma-buf/exporter-gpu", "my-gpu"],
    ]);
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
