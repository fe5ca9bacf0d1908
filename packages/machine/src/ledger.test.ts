import { addr, type DmaAddr, type PhysAddr } from "@dma-buf/core";
import { vtdSecondStage } from "@dma-buf/page-table";
import { expect, it } from "vitest";
import { EvidenceLog } from "./invariants-log.js";
import { checkInvariants } from "./invariants.js";
import { MachineDomain } from "./iommufd-domain.js";
import { differences, ResourceLedger } from "./ledger.js";
import { RAM, type Rig, rig } from "./testing.js";

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

const IOVA = addr<DmaAddr>(0x1000);
const RW = { read: true, write: true };

it.each<[string, (r: Rig, ioas: MachineDomain) => void]>([
  ["1 iovas", (r) => r.nic.dma.tryAllocIova(RAM, 4096)],
  ["1 attached", (r, ioas) => ioas.attachDevice(r.nic)],
  ["4096 ioasBytes", (_r, ioas) => ioas.table.map(IOVA, RAM, 4096, RW)],
])("whoever leaves %s is seen", (what, leave) => {
  const r = rig({ iommu: "translated" });
  const ioas = new MachineDomain(r.machine, "IOAS");
  const log = new EvidenceLog(r.machine);
  leave(r, ioas);
  log.close();
  expect(checkInvariants(log)).toMatchObject([{ invariant: "I7", what: expect.stringContaining(what) }]);
});

it("what the IOMMU and devices cache is counted, and no invariant wants it back", () => {
  const r = rig({ iommu: "translated", captured: (fn) => ({ ...fn, ats: { enabled: false, queueDepth: 0 } }) });
  const ioas = new MachineDomain(r.machine, "IOAS");
  ioas.table.map(IOVA, RAM, 4096, RW);
  ioas.attachDevice(r.nic);
  r.machine.iommuUnit.enableAts(r.nic.fn);
  const log = new EvidenceLog(r.machine);
  const before = r.machine.resources.read();
  r.run(r.nic.read(IOVA, 8));
  expect(differences(before, r.machine.resources.read())).toEqual([
    { kind: "iotlbEntries", before: 0, after: 1 },
    { kind: "atcEntries", before: 0, after: 1 },
  ]);
  log.close();
  expect(checkInvariants(log)).toEqual([]);
});
