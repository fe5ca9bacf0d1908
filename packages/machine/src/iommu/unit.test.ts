import { addr, type DmaAddr, type PhysAddr } from "@dma-buf/core";
import type { PageTable } from "@dma-buf/page-table";
import { describe, expect, it } from "vitest";
import { BAR, bytes, dmaOf, RAM, type Rig, rig, type RigOptions, upTo } from "../testing.js";
import type { IommuDomain } from "./domain.js";
import { FORMAT_OF, type IommuKind } from "./kind.js";

const IOVA = addr<DmaAddr>(0x1_0000_0000);
const OTHER = addr<PhysAddr>(0x30_0000);
const RW = { read: true, write: true };

/** The NIC in a domain whose table the test writes. */
function paged(kind: IommuKind = "vt-d", options: RigOptions = {}): Rig & { table: PageTable; domain: IommuDomain } {
  const r = rig({ iommu: "translated", ...options, machine: { iommuKind: kind, ...options.machine } });
  const table = r.machine.pageTable("test", FORMAT_OF[kind]);
  const domain = r.machine.iommuUnit.createDomain("test", table);
  r.machine.attachDomain(r.nic, domain);
  return { ...r, table, domain };
}

describe.each<IommuKind>(["vt-d", "amd-vi"])("%s", (kind) => {
  it("translates by the device's domain, and notes what it stops", () => {
    const r = paged(kind);
    r.table.map(IOVA, RAM, 4096, { read: true, write: false });
    r.machine.memory.write(RAM, bytes(5));
    expect(r.run(r.nic.read(IOVA, 8))).toEqual({ kind: "done", bytes: bytes(5) });
    expect(r.run(r.nic.write(IOVA, bytes(6))).kind).toBe("fault");
    expect(r.machine.memory.read(RAM, 8)).toEqual(bytes(5));
    const from = { source: r.nic.name, pasid: null, address: IOVA, access: "write" };
    expect(r.machine.iommuFaults.records).toMatchObject([{ ...from, unit: kind }]);
  });

  it("identity passes addresses, blocked stops all", () => {
    const r = paged(kind);
    r.machine.attachDomain(r.nic, "identity");
    expect(r.run(r.nic.write(dmaOf(RAM), bytes(7))).kind).toBe("done");
    r.machine.attachDomain(r.nic, "blocked");
    expect(r.run(r.nic.read(dmaOf(RAM), 8)).kind).toBe("fault");
    const code = kind === "vt-d" ? { reason: 0x02 } : { event: "ILLEGAL_DEV_TABLE_ENTRY" };
    expect(r.machine.iommuFaults.records).toMatchObject([code]);
  });
});

it("a leaf is cached whole: what was unmapped is reached through it until the flush", () => {
  const r = paged();
  r.table.map(0x4000_0000, addr<PhysAddr>(0x4000_0000), 0x20_0000, RW);
  r.run(r.nic.read(dmaOf(0x4000_0000 as PhysAddr), 8));
  expect(r.machine.iommuUnit.cached(r.domain)).toBe(1);
  r.table.unmap(0x4000_0000, 0x20_0000);
  // Another page of the same leaf was never accessed.
  expect(r.run(r.nic.write(dmaOf(0x4001_0000 as PhysAddr), bytes(8))).kind).toBe("done");
  expect(r.run(r.nic.read(dmaOf(0x4020_0000 as PhysAddr), 8)).kind).toBe("fault");
  r.run(r.machine.iommuUnit.flush(r.domain));
  expect(r.run(r.nic.read(dmaOf(0x4001_0000 as PhysAddr), 8)).kind).toBe("fault");
});

it("what was cached read-only is walked again for a write", () => {
  const r = paged();
  r.table.map(IOVA, RAM, 4096, { read: true, write: false });
  r.run(r.nic.read(IOVA, 8));
  r.table.protect(IOVA, 4096, RW);
  expect(r.run(r.nic.write(IOVA, bytes(1))).kind).toBe("done");
});

it("a range that is flushed leaves the rest of the domain, and other domains, cached", () => {
  const r = paged();
  r.table.map(IOVA, RAM, 4096, RW);
  r.table.map(IOVA + 8192, OTHER, 4096, RW);
  r.run(r.nic.read(IOVA, 8));
  r.run(r.nic.read(addr<DmaAddr>(IOVA + 8192), 8));
  const elsewhere = r.machine.iommuUnit.createDomain("other", r.table);
  r.machine.iommuUnit.flushNow(elsewhere);
  expect(r.machine.iommuUnit.cached(r.domain)).toBe(2);
  r.machine.iommuUnit.flushNow(r.domain, { address: IOVA, sizeBytes: 4096 });
  expect(r.machine.iommuUnit.cached(r.domain)).toBe(1);
});

it("between request and completion of a flush others run", () => {
  const r = paged();
  r.table.map(IOVA, RAM, 4096, RW);
  r.run(r.nic.read(IOVA, 8));
  r.table.unmap(IOVA, 4096);
  const flush = r.machine.iommuUnit.flush(r.domain);
  upTo(flush, "iommu.flush.request");
  expect(r.run(r.nic.read(IOVA, 8)).kind).toBe("done");
  upTo(flush, "iommu.flush.complete");
  expect(r.run(r.nic.read(IOVA, 8)).kind).toBe("fault");
  expect(flush.next().done).toBe(true);
});

it("a device that is blocked for a reset does no DMA, and keeps its domain", () => {
  const r = paged();
  r.table.map(IOVA, RAM, 4096, RW);
  const unit = r.machine.iommuUnit;
  unit.block(r.nic.fn);
  expect(r.run(r.nic.read(IOVA, 8)).kind).toBe("fault");
  expect(() => r.machine.attachDomain(r.nic, "identity")).toThrow(/EBUSY/);
  unit.unblock(r.nic.fn);
  expect(r.run(r.nic.read(IOVA, 8)).kind).toBe("done");
});

it.each(["off", "translated"] as const)("mode %s: writes into the interrupt window are messages", (iommu) => {
  const r = paged("vt-d", { iommu });
  r.table.map(0xfee0_0000, RAM, 4096, RW);
  const at = addr<DmaAddr>(0xfee0_0000);
  expect(r.run(r.nic.write(at, bytes(9)))).toMatchObject({ kind: "lost", reason: expect.stringMatching(/interrupt/) });
  expect(r.machine.memory.read(RAM, 8)).toEqual(bytes(0));
  expect(r.run(r.nic.read(at, 4))).toMatchObject({ kind: "lost", bytes: bytes(0xff, 4) });
});

it("an access over pages is translated page by page", () => {
  const r = paged();
  r.table.map(IOVA, RAM, 4096, RW);
  r.table.map(IOVA + 4096, OTHER, 4096, RW);
  expect(r.run(r.nic.write(addr<DmaAddr>(IOVA + 4092), bytes(3))).kind).toBe("done");
  expect([r.machine.memory.read(RAM + 4092, 4), r.machine.memory.read(OTHER, 4)]).toEqual([bytes(3, 4), bytes(3, 4)]);
  expect(r.run(r.nic.read(addr<DmaAddr>(IOVA + 8188), 8)).kind).toBe("fault");
});

it("a write that is stopped in one page goes on in the next, and ends as a fault", () => {
  const r = paged();
  r.table.map(IOVA + 4096, OTHER, 4096, RW);
  expect(r.run(r.nic.write(addr<DmaAddr>(IOVA + 4092), bytes(3))).kind).toBe("fault");
  expect(r.machine.memory.read(OTHER, 4)).toEqual(bytes(3, 4));
});

it("a read that nobody answers in time brings no data to a device", () => {
  const r = paged();
  r.table.map(IOVA, BAR, 4096, RW);
  r.machine.functions.of(r.gpu).resetting = true;
  const result = r.run(r.nic.read(IOVA, 8));
  expect(result).toMatchObject({ kind: "lost", answer: "completion-timeout" });
  expect(result).not.toHaveProperty("bytes");
});

it("a read that reaches nobody gives ones, from there on", () => {
  const r = paged();
  r.table.map(IOVA, RAM, 4096, RW);
  r.table.map(IOVA + 4096, addr<PhysAddr>(0x60_0000_0000), 4096, RW);
  const result = r.run(r.nic.read(addr<DmaAddr>(IOVA + 4092), 8));
  expect(result).toMatchObject({ kind: "lost", bytes: Uint8Array.of(0, 0, 0, 0, 255, 255, 255, 255) });
  expect(r.machine.iommuFaults.records).toEqual([]);
});
