import { vtdSecondStage } from "@dma-buf/page-table";
import { expect, it } from "vitest";
import { rig } from "./testing.js";

it("what its numbers mean follows the domain that it is attached to now", () => {
  const { machine, nic } = rig({ iommu: "translated" });
  const bus = { kind: "pci-bus", bridge: machine.topology.hostBridgeOf(nic.fn) };
  expect(nic.spaces).toEqual([bus, { kind: "iova", domain: machine.domainOf(nic) }]);
  machine.attachDomain(nic, "identity");
  expect(nic.spaces).toEqual([bus]);
  const domain = machine.iommuUnit.createDomain("another", machine.pageTable("another", vtdSecondStage));
  machine.attachDomain(nic, domain);
  expect(nic.spaces[1]).toEqual({ kind: "iova", domain });
});
