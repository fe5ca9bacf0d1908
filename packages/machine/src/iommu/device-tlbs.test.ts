import { addr, type DmaAddr } from "@dma-buf/core";
import { expect, it } from "vitest";
import { MachineDomain } from "../iommufd-domain.js";
import { RAM, bytes, type Rig, rig, type RigOptions, upTo } from "../testing.js";

const IOVA = addr<DmaAddr>(0x1_0000_0000);

function capable(machine: RigOptions["machine"] = {}): Rig {
  const ats = { enabled: false, queueDepth: 0 };
  return rig({ base: "T2", iommu: "translated", machine, captured: (fn) => ({ ...fn, ats }) });
}

it("ATS is enabled once, and not for a device that is not trusted", () => {
  const { machine, nic } = capable();
  machine.iommuUnit.enableAts(nic.fn);
  expect(() => machine.iommuUnit.enableAts(nic.fn)).toThrow(/EBUSY: 0000:02:00.0 has ATS on/);
  machine.iommuUnit.disableAts(nic.fn);
  machine.iommuUnit.enableAts(nic.fn);
  const other = capable({ untrusted: ["0000:02:00.0"] });
  expect(() => other.machine.iommuUnit.enableAts(other.nic.fn)).toThrow(/EINVAL: 0000:02:00.0 is not trusted/);
  expect(other.machine.iommuUnit.atcOf(other.nic.fn)).toBeNull();
});

it("off and on again, a flush waits for what was under way before", () => {
  const r = capable();
  const ioas = new MachineDomain(r.machine, "IOAS");
  ioas.attachDevice(r.nic);
  ioas.table.map(IOVA, RAM, 4096, { read: true, write: true });
  const unit = r.machine.iommuUnit;
  unit.enableAts(r.nic.fn);
  const writing = r.nic.write(IOVA, bytes(5));
  upTo(writing, "fabric.arrive");
  unit.disableAts(r.nic.fn);
  unit.enableAts(r.nic.fn);
  expect(r.machine.resources.read()).toMatchObject({ atcEntries: 0 });
  const flush = ioas.flush();
  let at = flush.next();
  while (!at.done && at.value.site !== "ats.invalidate.complete") at = flush.next();
  expect(at).toMatchObject({ done: false });
  expect(at.value && "ready" in at.value && at.value.ready?.()).toBe(false);
  r.run(writing);
  r.run(flush);
});

it("a flush of a part of a large leaf drops the whole leaf", () => {
  const r = capable();
  const ioas = new MachineDomain(r.machine, "IOAS");
  ioas.attachDevice(r.nic);
  r.machine.iommuUnit.enableAts(r.nic.fn);
  const domain = r.machine.domainOf(r.nic);
  ioas.table.map(IOVA, addr(0x4000_0000), 0x20_0000, { read: true, write: true });
  r.run(r.nic.read(IOVA, 8));
  expect(r.machine.resources.read()).toMatchObject({ iotlbEntries: 1, atcEntries: 1 });
  if (typeof domain === "string") throw new Error("the NIC is in no IOAS");
  r.machine.iommuUnit.flushNow(domain, { address: IOVA + 0x1f_f000, sizeBytes: 4096 });
  expect(r.machine.resources.read()).toMatchObject({ iotlbEntries: 0, atcEntries: 0 });
});
