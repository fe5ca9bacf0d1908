import { addr, type DmaAddr, type Op, type PhysAddr, type Wait } from "@dma-buf/core";
import type { PageTable } from "@dma-buf/page-table";
import { expect, it } from "vitest";
import { resetFunction } from "../function-reset.js";
import { BAR, bytes, RAM, type Rig, rig, upTo } from "../testing.js";
import type { IommuDomain } from "./domain.js";
import type { IommuUnit } from "./unit.js";

const IOVA = addr<DmaAddr>(0x1_0000_0000);
const RW = { read: true, write: true };

interface Ats extends Rig {
  readonly unit: IommuUnit;
  readonly domain: IommuDomain;
  readonly table: PageTable;
}

/** The NIC asks for translations and keeps them. */
function ats(): Ats {
  const r = rig({
    iommu: "translated",
    captured: (fn) => ({ ...fn, ats: { enabled: false, queueDepth: 0 } }),
  });
  const unit = r.machine.iommuUnit;
  const table = r.machine.pageTable("test", (r.machine.domainOf(r.nic) as IommuDomain).format);
  const domain = unit.createDomain("test", table);
  r.machine.attachDomain(r.nic, domain);
  unit.enableAts(r.nic.fn);
  table.map(IOVA, RAM, 4096, RW);
  return { ...r, unit, domain, table };
}

const kindOf = (r: Ats, op: Op<{ kind: string }>): string => r.run(op).kind;

it("asks once, and then neither IOTLB nor table: only its own flush helps", () => {
  const r = ats();
  expect(kindOf(r, r.nic.write(IOVA, bytes(4)))).toBe("done");
  r.table.unmap(IOVA, 4096);
  r.unit.flushIotlb(r.domain);
  expect(kindOf(r, r.nic.read(IOVA, 8))).toBe("done");
  r.run(r.unit.flush(r.domain));
  expect(r.run(r.nic.read(IOVA, 8))).toMatchObject({ kind: "fault", by: `ATC of ${r.nic.name}` });
});

it("a miss is a reply that allows nothing, and no fault record", () => {
  const r = ats();
  expect(kindOf(r, r.nic.read(addr<DmaAddr>(IOVA + 4096), 8))).toBe("fault");
  expect(r.machine.iommuFaults.records).toEqual([]);
});

it("the ATC flushed before the IOTLB takes the old answer again", () => {
  const r = ats();
  r.run(r.nic.read(IOVA, 8));
  r.table.unmap(IOVA, 4096);
  r.unit.atcOf(r.nic.fn)?.invalidate(IOVA, 4096);
  r.run(r.nic.read(IOVA, 8));
  r.unit.flushIotlb(r.domain);
  expect(kindOf(r, r.nic.read(IOVA, 8))).toBe("done");
});

it("a reply that is older than an invalidation is not kept: the device asks again", () => {
  const r = ats();
  const reading = r.nic.read(IOVA, 8);
  upTo(reading, "ats.reply");
  r.table.unmap(IOVA, 4096);
  r.run(r.unit.flush(r.domain));
  expect(kindOf(r, reading)).toBe("fault");
  expect(r.unit.atcOf(r.nic.fn)?.size).toBe(0);
});

it.each<["read" | "write", number]>([
  ["read", RAM],
  ["write", RAM],
  ["read", BAR],
])("an invalidation completes when a %s of %i that uses the entry has ended", (access, place) => {
  const r = ats();
  const iova = addr<DmaAddr>(IOVA + 0x10_0000);
  r.table.map(iova, addr<PhysAddr>(place), 4096, RW);
  const reading: Op<{ kind: string }> = access === "read" ? r.nic.read(iova, 8) : r.nic.write(iova, bytes(1));
  upTo(reading, "fabric.arrive");
  const flush = r.unit.flush(r.domain);
  let at = flush.next();
  while (!at.done && at.value.site !== "ats.invalidate.complete") at = flush.next();
  const wait = at.value as Wait;
  expect([wait.ready?.(), wait.blockedOn?.()]).toEqual([false, `1 translated requests of ${r.nic.name}`]);
  expect(kindOf(r, reading)).toBe("done");
  expect(wait.ready?.()).toBe(true);
  r.run(flush);
});

it("a translated peer write goes sideways, and no completion waits for it", () => {
  const r = ats();
  r.table.map(IOVA + 0x10_0000, BAR, 4096, RW);
  const at = addr<DmaAddr>(IOVA + 0x10_0000);
  const writing = r.nic.write(at, bytes(6));
  upTo(writing, "fabric.arrive");
  r.run(r.unit.flush(r.domain));
  expect(kindOf(r, writing)).toBe("done");
  expect(r.machine.memory.read(BAR, 8)).toEqual(bytes(6));
});

it("reset turns ATS off, and it comes back with an empty ATC", () => {
  const r = ats();
  r.run(r.nic.read(IOVA, 8));
  r.table.unmap(IOVA, 4096);
  r.unit.flushIotlb(r.domain);
  const reset = resetFunction(r.machine.functions, r.nic.fn);
  upTo(reset, "reset.restore");
  expect(r.unit.atcOf(r.nic.fn)).toBeNull();
  expect(reset.next().done).toBe(true);
  expect(r.unit.atcOf(r.nic.fn)?.size).toBe(0);
  expect(r.run(r.nic.read(IOVA, 8))).toMatchObject({ kind: "fault", by: `ATC of ${r.nic.name}` });
});

it("a reset turns on no ATS that was off, nor twice what somebody turned on meanwhile", () => {
  const r = ats();
  r.unit.disableAts(r.nic.fn);
  r.run(resetFunction(r.machine.functions, r.nic.fn));
  expect(r.unit.atcOf(r.nic.fn)).toBeNull();
  r.unit.enableAts(r.nic.fn);
  const reset = resetFunction(r.machine.functions, r.nic.fn);
  upTo(reset, "reset.restore");
  r.unit.enableAts(r.nic.fn);
  const atc = r.unit.atcOf(r.nic.fn);
  expect(reset.next().done).toBe(true);
  expect(r.unit.atcOf(r.nic.fn)).toBe(atc);
});

it.each<[string, (r: Ats) => void, string]>([
  ["removed", (r) => r.machine.functions.unplug(r.nic.fn), "it was removed"],
  ["in D3hot", (r) => r.machine.functions.setPower(r.nic.fn, "D3hot"), "it is in D3hot"],
  ["without bus mastering", (r) => r.machine.functions.setBusMaster(r.nic.fn, false), "bus mastering is off"],
  ["reset", (r) => r.run(resetFunction(r.machine.functions, r.nic.fn)), "it was reset"],
])("a device that is %s while it asks sends nothing, neither up nor sideways", (_name, change, why) => {
  for (const site of ["ats.request", "ats.reply"])
    for (const place of [RAM, BAR]) {
      const r = ats();
      const at = addr<DmaAddr>(IOVA + 0x10_0000);
      r.table.map(at, place, 4096, RW);
      const writing = r.nic.write(at, bytes(7));
      upTo(writing, site);
      change(r);
      expect(r.run(writing)).toMatchObject({ kind: "lost", reason: `${r.nic.name} sends nothing: ${why}` });
      expect(r.machine.memory.read(place, 8)).toEqual(bytes(0));
    }
});

it("a translated request is refused when ATS went off on its way, and into the interrupt window", () => {
  const r = ats();
  r.run(r.nic.read(IOVA, 8));
  const reading = r.nic.read(IOVA, 8);
  upTo(reading, "iommu.lookup");
  r.unit.disableAts(r.nic.fn);
  expect(kindOf(r, reading)).toBe("fault");
  r.unit.enableAts(r.nic.fn);
  r.table.map(IOVA + 8192, addr<PhysAddr>(0xfee0_0000), 4096, RW);
  expect(kindOf(r, r.nic.write(addr<DmaAddr>(IOVA + 8192), bytes(1)))).toBe("fault");
  expect(r.machine.iommuFaults.records).toMatchObject([{ reason: 0x0d }, { reason: 0x0d, address: 0xfee0_0000 }]);
});

it("above a root port without bus mastering nobody is asked; what the device holds, it uses sideways", () => {
  const r = ats();
  r.table.map(IOVA + 0x10_0000, BAR, 8192, RW);
  const at = addr<DmaAddr>(IOVA + 0x10_0000);
  r.run(r.nic.read(at, 8));
  r.machine.functions.setBusMaster(r.machine.topology.get("0000:00:01.0"), false);
  expect(kindOf(r, r.nic.write(at, bytes(1)))).toBe("done");
  expect(kindOf(r, r.nic.write(addr<DmaAddr>(at + 4096), bytes(1)))).toBe("fault");
});

it("attaching another domain drops what the device holds of the old one", () => {
  const r = ats();
  r.run(r.nic.read(IOVA, 8));
  r.machine.attachDomain(r.nic, r.unit.createDomain("empty", r.machine.pageTable("empty", r.domain.format)));
  expect(kindOf(r, r.nic.read(IOVA, 8))).toBe("fault");
});

it("a flush of another domain leaves the ATC alone", () => {
  const r = ats();
  r.run(r.nic.read(IOVA, 8));
  const other = r.unit.createDomain("other", r.table);
  r.unit.flushNow(other);
  r.run(r.unit.flush(other));
  expect(r.unit.atcOf(r.nic.fn)?.size).toBe(1);
});

it("a pass-through device gets its own addresses as replies", () => {
  const r = ats();
  r.machine.attachDomain(r.nic, "identity");
  expect(kindOf(r, r.nic.write(addr<DmaAddr>(RAM), bytes(2)))).toBe("done");
  expect(r.unit.atcOf(r.nic.fn)?.size).toBe(1);
});

it("a function without ATS is refused", () => {
  const r = rig({ iommu: "translated" });
  expect(() => r.machine.iommuUnit.enableAts(r.nic.fn)).toThrow(/EINVAL/);
});
