import { columns, compare } from "@dma-buf/compare";
import { expect, it } from "vitest";
import { pfnFixed, pfnFixedColumn } from "./pfn-fixed.js";

const contracts = ["dma-address", "pfn", "pfn-fixed"];
const results = (scenario: string) => compare({ scenarios: [scenario], contracts, columns: [pfnFixedColumn] }).results;
const verdicts = (scenario: string) =>
  Object.fromEntries(results(scenario).map((r) => [r.contract, r.conforming.verdict]));

it("closes the race that the RFC leaves open, in the same orders", () => {
  expect(verdicts("S34c")).toEqual({ "dma-address": "OK", pfn: "STALE", "pfn-fixed": "OK" });
  const [, rfc, fixed] = results("S34c").map((r) => r.schedules?.bound);
  expect(fixed).toBe(rfc);
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
