/** What keeps a NIC's driver right: put back what a scenario takes out of it, and the verdict turns. */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { bind } from "../../binding.js";
import { Cell } from "../../cell.js";
import type { Column } from "../../column.js";
import { columns } from "../../columns/index.js";

import { readScenario } from "../../scenario/read.js";
import type { Scenario } from "../../scenario/scenario.js";
import { verdictText } from "../../scenario/verdict-text.js";

function scenario(id: string): Scenario {
  const file = new URL(`../../../scenarios/${id}.yaml`, import.meta.url).pathname;
  return readScenario(readFileSync(file, "utf8"), file);
}

function conforming(played: Scenario, contract: string): string {
  const column = columns.find((c) => c.contract.id === contract) as Column;
  return verdictText(new Cell(played, column, bind(played, null)).result().conforming);
}

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
