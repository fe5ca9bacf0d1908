import { addr, type DmaAddr } from "@dma-buf/core";
import { createVtdSecondStage } from "@dma-buf/page-table";
import { expect, it } from "vitest";
import { nameOf } from "./iommu/domain.js";
import { MachineIommufd } from "./iommufd.js";
import { bytes, RAM, rig } from "./testing.js";

const IOVA = addr<DmaAddr>(0x1000);

it.each(["vt-d", "amd-vi"] as const)("%s: a device goes from domain to domain in one step, and home", (iommuKind) => {
  const r = rig({ base: "T2", iommu: "translated", machine: { iommuKind } });
  const host = new MachineIommufd(r.machine);
  const own = nameOf(r.machine.domainOf(r.nic));
  const [a, b] = [host.createDomain(r.nic), host.createDomain(r.nic)];
  a.table.map(IOVA, RAM, 4096, { read: true, write: true });
  host.attach(r.nic, a);
  expect(r.run(r.nic.write(IOVA, bytes(3))).kind).toBe("done");
  host.attach(r.nic, b);
  expect([r.run(r.nic.write(IOVA, bytes(4))).kind, r.machine.memory.read(RAM, 8)]).toEqual(["fault", bytes(3)]);
  a.destroy();
  host.detach(r.nic);
  b.destroy();
  expect(nameOf(r.machine.domainOf(r.nic))).toBe(own);
});

it("what it reserves: interrupts, and HyperTransport behind AMD-Vi; not the windows of bridges", () => {
  const of = (iommuKind: "vt-d" | "amd-vi") => {
    const { machine, nic } = rig({ base: "T2", iommu: "translated", machine: { iommuKind } });
    return new MachineIommufd(machine).reservedIovas(nic);
  };
  expect(of("vt-d")).toEqual([{ first: 0xfee0_0000n, last: 0xfeef_ffffn }]);
  expect(of("amd-vi")).toEqual([
    { first: 0xfee0_0000n, last: 0xfeef_ffffn },
    { first: 0xfd_0000_0000n, last: 0xff_ffff_ffffn },
  ]);
});

it("a domain reaches as far as its format: 39 bits here", () => {
  const { machine, nic } = rig({ base: "T2", iommu: "translated" });
  const domain = new MachineIommufd(machine, { format: createVtdSecondStage({ levels: 3 }) }).createDomain(nic);
  expect([domain.apertureFirst, domain.apertureLast, domain.pageBytesMin]).toEqual([0n, 2n ** 39n - 1n, 4096]);
  domain.destroy();
});

it("a buffer's provider gives no route to who is on no PCI bus", () => {
  const { machine, gpu, nic } = rig({ base: "T2" });
  const provider = machine.provider(gpu, gpu.bars[0] as never);
  expect(provider?.verdict({ name: nic.name } as never)).toMatchObject({
    mapType: "not-supported",
    distance: -1,
  });
});
