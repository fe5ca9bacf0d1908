import { addr, type PhysAddr } from "@dma-buf/core";
import { vtdSecondStage } from "@dma-buf/page-table";
import { expect, it } from "vitest";
import { differences, ResourceLedger } from "./ledger.js";
import { RAM, rig } from "./testing.js";

it("adds sources of one kind, and takes several kinds at once", () => {
  const ledger = new ResourceLedger();
  let iovas = 2;
  ledger.register("iovas", () => iovas);
  ledger.register("iovas", () => 1);
  ledger.registerAll(() => ({ references: 4, maps: 0 }));
  expect(ledger.read()).toEqual({ iovas: 3, references: 4, maps: 0 });
  iovas = 0;
  expect(ledger.read()).toEqual({ iovas: 1, references: 4, maps: 0 });
});

it("says what changed, also where a kind is new", () => {
  expect(differences({ maps: 1, pins: 2 }, { maps: 1, pins: 0, refs: 3 })).toEqual([
    { kind: "pins", before: 2, after: 0 },
    { kind: "refs", before: 0, after: 3 },
  ]);
});

it("the machine counts DMA mappings and table pages", () => {
  const { machine, nic } = rig({ iommu: "translated" });
  const before = machine.resources.read();
  const at = nic.dma.mapPhys(RAM, 4096, "bidirectional", { mmio: false });
  const table = machine.pageTable("another", vtdSecondStage);
  table.map(0, addr<PhysAddr>(RAM), 4096, { read: true, write: true });
  const kinds = differences(before, machine.resources.read()).map((d) => d.kind);
  expect(kinds).toEqual(expect.arrayContaining(["dmaMappings", "tables"]));
  nic.dma.unmapPhys(at, 4096);
  table.destroy();
  expect(differences(before, machine.resources.read())).toEqual([]);
});
