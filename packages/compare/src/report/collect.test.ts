import { expect, it } from "vitest";
import { compare } from "../compare.js";
import { collect, collectInParallel } from "./collect.js";

const CHOICE = { scenarios: ["S34c", "S17a"], contracts: ["dma-address", "pfn"] };

it("has the results of a comparison, and beside them the runs", () => {
  const { comparison, explanations, scenarios } = collect(CHOICE);
  expect(comparison).toEqual(compare(CHOICE));
  expect(explanations.map((e) => [e.result.scenario, e.result.contract, e.run])).toEqual([
    ["S34c", "dma-address", "conforming"],
    ["S34c", "pfn", "conforming"],
    ["S17a", "dma-address", "conforming"],
    ["S17a", "pfn", "conforming"],
    ["S17a", "pfn", "asPosted"],
  ]);
  expect(scenarios.map((s) => s.id)).toEqual(CHOICE.scenarios);
});

it("in parallel it is the same", async () => {
  expect(await collectInParallel(CHOICE)).toEqual(collect(CHOICE));
});
