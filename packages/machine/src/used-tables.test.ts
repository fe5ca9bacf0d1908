import { Scheduler, Trace } from "@dma-buf/core";
import { t1 } from "@dma-buf/pci";
import { expect, it } from "vitest";
import { Machine } from "./machine.js";

const machine = (more: Partial<ConstructorParameters<typeof Machine>[0]> = {}): Machine => {
  const { topology } = t1({});
  const trace = new Trace(new Scheduler(), false);
  return new Machine({ topology, trace, iommu: "off", rootComplexForwards: true, tablesMax: 8, ...more });
};

it("takes the page-table memory of a machine that is over, and clears it", () => {
  const { tables } = machine().memory;
  tables.words[5] = 7;
  expect([machine({ usedTables: tables }).memory.tables === tables, tables.words[5]]).toEqual([true, 0]);
});

it("does not take what is still in use, or of another size", () => {
  const { tables } = machine().memory;
  expect(machine({ usedTables: tables, tablesMax: 16 }).memory.tables).not.toBe(tables);
  tables.allocTable();
  expect(machine({ usedTables: tables }).memory.tables).not.toBe(tables);
});
