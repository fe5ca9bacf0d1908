import { addr, type DmaAddr } from "@dma-buf/core";
import { expect, it } from "vitest";
import { nameOf } from "./iommu/domain.js";
import { MachineDomain } from "./iommufd-domain.js";
import { RAM, type Rig, rig } from "./testing.js";

const IOVA = addr<DmaAddr>(0x1000);
const RW = { read: true, write: true };
const domainOf = (r: Rig): string => nameOf(r.machine.domainOf(r.nic));

function ioases(): Rig & { a: MachineDomain; b: MachineDomain; own: string } {
  const r = rig({ base: "T2", iommu: "translated" });
  return { ...r, a: new MachineDomain(r.machine, "A"), b: new MachineDomain(r.machine, "B"), own: domainOf(r) };
}

it("attaches a device once, and detach gives it its default domain back", () => {
  const r = ioases();
  r.a.attachDevice(r.nic);
  expect(() => r.a.attachDevice(r.nic)).toThrow(/EBUSY: A has 0000:02:00.0 already/);
  r.a.detachDevice(r.nic);
  expect(domainOf(r)).toBe(r.own);
  expect(() => r.a.detachDevice(r.nic)).toThrow(/EINVAL: A has no 0000:02:00.0/);
  expect(domainOf(r)).toBe(r.own);
});

it("a device that went to another IOAS is detached there, and comes home", () => {
  const r = ioases();
  r.a.attachDevice(r.nic);
  r.b.attachDevice(r.nic);
  expect(() => r.a.detachDevice(r.nic)).toThrow(/EINVAL/);
  expect(domainOf(r)).toBe("B");
  r.b.detachDevice(r.nic);
  expect(domainOf(r)).toBe(r.own);
});

it("an attach that is refused leaves no entry", () => {
  const r = ioases();
  r.machine.iommuUnit.block(r.nic.fn);
  expect(() => r.a.attachDevice(r.nic)).toThrow(/EBUSY/);
  r.machine.iommuUnit.unblock(r.nic.fn);
  expect(domainOf(r)).toBe(r.own);
  expect(() => r.a.detachDevice(r.nic)).toThrow(/EINVAL/);
  r.a.destroy();
});

it("is not destroyed under a device; what was cached of it goes, and nobody is attached again", () => {
  const r = ioases();
  r.a.table.map(IOVA, RAM, 4096, RW);
  r.a.attachDevice(r.nic);
  expect(r.run(r.nic.read(IOVA, 8)).kind).toBe("done");
  expect(() => r.a.destroy()).toThrow(/EBUSY: A has 1 devices/);
  expect(r.run(r.nic.read(IOVA, 8)).kind).toBe("done");
  r.a.detachDevice(r.nic);
  expect(r.machine.resources.read()).toMatchObject({ iotlbEntries: 1 });
  r.a.destroy();
  expect(r.machine.resources.read()).toMatchObject({ iotlbEntries: 0, ioasBytes: 0 });
  expect(() => r.a.attachDevice(r.nic)).toThrow(/EINVAL: A was destroyed/);
});
