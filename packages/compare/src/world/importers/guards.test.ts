/** What keeps a NIC's driver right: put back what a scenario takes out of it, and the verdict turns. */
import { expect, it } from "vitest";
import type { Scenario } from "../../scenario/scenario.js";
import { conforming, scenario } from "../testing.js";

/** Nobody breaks anything any more. */
function mended(broken: Scenario, options: Readonly<Record<string, unknown>>): Scenario {
  const importers = broken.importers.map((i) => ({ ...i, options: { ...i.options, ...options } }));
  return { ...broken, fault: null, importers };
}

it.each([
  ["S34c", "pfn", "STALE", { retry: true }, "OK"],
  ["S34c", "vma", "STALE", { retry: true }, "OK"],
  ["S46b", "dma-address", "STALE", { unmaps: true }, "OK"],
  ["S38c", "dma-address", "OK", { unmaps: false }, "STALE"],
  ["S46b", "linux-7.3", "HANG", { unmaps: true }, "OK"],
  ["S51", "dma-address", "RESLEAK", { unmapsBeforeDetach: true }, "OK"],
  ["S51", "linux-7.3", "HANG", { unmapsBeforeDetach: true }, "OK"],
  ["S67b", "linux-7.3", "FAULT", { writesLate: false }, "REFUSED(ENODEV@map)"],
] as const)("%s, %s: %s; with %o: %s", (id, contract, verdict, options, otherwise) => {
  const broken = scenario(id);
  expect(conforming(broken, contract)).toBe(verdict);
  expect(conforming(mended(broken, options), contract)).toBe(otherwise);
});
