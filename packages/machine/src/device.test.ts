import { addr } from "@dma-buf/core";
import { vtdSecondStage } from "@dma-buf/page-table";
import { expect, it } from "vitest";
import { BAR, bytes, dmaOf, RAM, rig } from "./testing.js";

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

it("bits of an address that it does not drive are zero on its bus", () => {
  const { machine, nic, run } = rig({ machine: { dmaMaskBits: 38 } });
  // The BAR is at 2^38: what is left of its address is RAM.
  expect(run(nic.write(dmaOf(addr(BAR + RAM)), bytes(9))).kind).toBe("done");
  expect([machine.memory.read(RAM, 8), machine.memory.read(addr(BAR + RAM), 8)]).toEqual([bytes(9), bytes(0)]);
  expect(run(nic.read(dmaOf(addr(BAR + RAM)), 8))).toEqual({ kind: "done", bytes: bytes(9) });
});
