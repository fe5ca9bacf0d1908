import { expect, it } from "vitest";
import { comparisonOf } from "../testing.js";
import { filtered, type Filter, filterText } from "./filter.js";

const fault = { party: "exporter", what: "x" } as const;
const comparison = comparisonOf(
  { scenario: "S1", contract: "a" },
  { scenario: "S1", contract: "b", conforming: { verdict: "STALE" }, blame: "contract", basis: "lab" },
  { scenario: "S2", contract: "a", packages: ["@dma-buf/importer-gpu"] },
  { scenario: "S2", contract: "b", blame: "importer", basis: "posted" },
  { scenario: "S3", contract: "a", fault },
  { scenario: "S3", contract: "b", fault },
);

it.each<[string, Filter, string[]]>([
  ["nothing", {}, ["S1", "S2", "S3"]],
  ["verdict", { verdict: ["STALE", "HANG"] }, ["S1"]],
  ["blame", { blame: ["importer"] }, ["S2"]],
  ["basis", { basis: ["lab", "posted"] }, ["S1", "S2"]],
  ["one cell must have all of it", { verdict: ["OK"], blame: ["contract"] }, []],
  ["package, by its short name", { package: ["importer-gpu"] }, ["S2"]],
  ["package, by its whole name", { package: ["@dma-buf/importer-gpu"] }, ["S2"]],
  ["differ", { differ: ["a", "b"] }, ["S1"]],
  ["faults", { faults: false }, ["S1", "S2"]],
])("%s: rows stay whole", (_name, filter, ids) => {
  const { results } = filtered(comparison, filter);
  expect(results.map((r) => r.scenario)).toEqual(ids.flatMap((id) => [id, id]));
});

it("a package that plays nowhere is refused with those that do", () => {
  expect(() => filtered(comparison, { package: ["kvm"] })).toThrow(
    /no package kvm .* @dma-buf\/importer-gpu, @dma-buf\/importer-kvm/,
  );
});

it("says what was asked", () => {
  expect(filterText({ verdict: ["STALE", "HANG"], faults: false })).toBe("--verdict STALE,HANG --no-faults");
  expect(filterText({ faults: true })).toBe("");
});
