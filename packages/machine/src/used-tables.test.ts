import { Scheduler, Trace } from "@dma-buf/core";
import { t1 } from "@dma-buf/pci";
import { expect, it } from "vitest";
import { Machine } from "./machine.js";

const machine = (more: Partial<ConstructorParameters<typeof Machine>[0]> = {}): Machine => {
  const { topology } = t1({});
  const trace = new Trace(new Scheduler(), false);
  return new Machine({ topology, trace, iommu: "off", rootComplexForwards: true, tablesMax: 8, ...more });
};

it("takes the page-table memory of a machine that is over, whatever was left in it, and clears it", () => {
  const { tables } = machine().memory;
  tables.allocTable();
  tables.words[5] = 7;
  const next = machine({ usedTables: tables }).memory.tables;
  expect([next.words.buffer === tables.words.buffer, next.words[5], next.liveTables]).toEqual([true, 0, 0]);
});

it("does not take what is of another size", () => {
  const { tables } = machine().memory;
  const next = machine({ usedTables: tables, tablesMax: 16 }).memory.tables;
  expect([next.words.buffer === tables.words.buffer, next.sizeBytes]).toEqual([false, 16 * 4096]);
});
