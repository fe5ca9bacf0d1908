import { columns, compare } from "@dma-buf/compare";
import { expect, it } from "vitest";
import { pfnFixed, pfnFixedColumn } from "./pfn-fixed.js";

const verdicts = (scenario: string) =>
  Object.fromEntries(
    compare({ scenarios: [scenario], columns: [pfnFixedColumn] }).results.map((r) => [
      r.contract,
      r.conforming.verdict,
    ]),
  );

it("closes the race that the RFC leaves open, in every order", () => {
  const { results } = compare({ scenarios: ["S34c"], columns: [pfnFixedColumn] });
  expect(results.map((r) => [r.contract, r.conforming.verdict, r.schedules?.exhausted])).toEqual([
    ["dma-address", "OK", true],
    ["pfn", "STALE", true],
    ["pfn-fixed", "OK", true],
  ]);
});

it("does not cure what the lock has nothing to do with: an address for nobody in particular", () => {
  expect(verdicts("S15a")).toEqual({ "dma-address": "REFUSED", pfn: "CORRUPT", "pfn-fixed": "CORRUPT" });
  expect(verdicts("S18a")).toEqual({ "dma-address": "REFUSED", pfn: "OK", "pfn-fixed": "OK" });
});

it("has a row less and a row more than the RFC", () => {
  expect([pfnFixed.rows.getPfnUnlocked, pfnFixed.rows.getPfnAttachment?.resv]).toEqual([undefined, "held"]);
});

it("needs an id of its own", () => {
  expect(() => compare({ columns: columns.slice(0, 1) })).toThrow("two columns are called dma-address");
});
