import { addr, type DmaAddr, type DmaIovaState, type PhysAddr } from "@dma-buf/core";
import { armStage2 } from "@dma-buf/page-table";
import { describe, expect, it } from "vitest";
import { GuestVm } from "../guest.js";
import { BAR, bytes, RAM, type Rig, rig, type RigOptions, upTo } from "../testing.js";

const MEM = { mmio: false };
const NIC = "0000:04:00.0";
const translated = (machine: RigOptions["machine"] = {}): Rig => rig({ iommu: "translated", machine });
const reads = (r: Rig, at: DmaAddr): string => r.run(r.nic.read(at, 8)).kind;

describe("dma_iova_*", () => {
  const alloc = (r: Rig, physical: PhysAddr = RAM, sizeBytes = 0x4000): DmaIovaState =>
    r.nic.dma.tryAllocIova(physical, sizeBytes) as DmaIovaState;

  it("is reached piece by piece as it is linked, and not after unlink, under lazy flushing too", () => {
    const r = translated({ flush: "lazy" });
    const state = alloc(r);
    state.link(0x1000, RAM, 0x2000, "bidirectional", MEM);
    state.sync(0x1000, 0x2000);
    const at = addr<DmaAddr>(state.address + 0x1000);
    expect([reads(r, state.address), reads(r, at)]).toEqual(["fault", "done"]);
    r.run(state.unlink(0x1000, 0x2000));
    expect(reads(r, at)).toBe("fault");
    r.run(state.destroy(0));
    expect(r.machine.ledger.dmaMappings).toBe(0);
    expect(alloc(r).address).toBe(state.address);
  });

  it("gives tables back that it no longer needs", () => {
    const r = translated();
    const state = alloc(r, RAM, 0x20_0000);
    const before = r.machine.memory.tables.liveTables;
    // Not aligned to a large leaf: a lowest table is filled, and covered whole when it goes.
    state.link(0, addr<PhysAddr>(RAM + 4096), 0x20_0000, "bidirectional", MEM);
    const during = r.machine.memory.tables.liveTables;
    r.run(state.destroy(0x20_0000));
    expect(r.machine.memory.tables.liveTables).toBe(during - 1);
    expect(before).toBeLessThan(during);
  });

  it("destroy clears, flushes, and then frees", () => {
    const r = translated();
    const state = alloc(r);
    state.link(0, RAM, 0x4000, "bidirectional", MEM);
    reads(r, state.address);
    const ending = state.destroy(0x4000);
    upTo(ending, "iommu.flush.request");
    expect([reads(r, state.address), r.machine.ledger.dmaMappings]).toEqual(["done", 1]);
    upTo(ending, "iommu.flush.complete");
    expect([reads(r, state.address), r.machine.ledger.dmaMappings]).toEqual(["fault", 1]);
    r.run(ending);
    expect(r.machine.ledger.dmaMappings).toBe(0);
  });

  it("a hole is refused, and what is behind it stays linked until it is unlinked", () => {
    const r = translated();
    const state = alloc(r);
    state.link(0x1000, RAM, 0x2000, "bidirectional", MEM);
    const at = addr<DmaAddr>(state.address + 0x1000);
    expect(() => r.run(state.unlink(0, 0x3000))).toThrow(/EINVAL.*only 8192 are linked/);
    expect(() => r.run(state.destroy(0x4000))).toThrow(/EINVAL.*only 8192 are linked/);
    expect(() => r.run(state.destroy(0))).toThrow(/EINVAL.*is linked still/);
    expect([reads(r, at), r.machine.ledger.dmaMappings]).toEqual(["done", 1]);
    r.run(state.unlink(0x1000, 0x2000));
    r.run(state.destroy(0));
    expect([reads(r, at), r.machine.ledger.dmaMappings]).toEqual(["fault", 0]);
  });

  it("has ended with destroy: whoever has the IOVAs next keeps them", () => {
    const r = translated();
    const state = alloc(r, RAM, 0x1000);
    r.run(state.destroy(0));
    const next = r.nic.dma.mapPhys(RAM, 4096, "bidirectional", MEM);
    expect(next).toBe(state.address);
    for (const end of [state.destroy(0x1000), state.destroy(0), state.unlink(0, 0x1000)])
      expect(() => r.run(end)).toThrow(/EINVAL.*given back/);
    expect(() => state.link(0, RAM, 0x1000, "bidirectional", MEM)).toThrow(/EINVAL.*given back/);
    expect([reads(r, next), r.machine.ledger.dmaMappings]).toEqual(["done", 1]);
  });

  it("refuses what is linked already, what is beyond, and another offset in the page", () => {
    const state = alloc(translated());
    state.link(0, RAM, 0x1000, "bidirectional", MEM);
    const link = (offset: number, physical: number, size: number) => (): void =>
      state.link(offset, addr<PhysAddr>(physical), size, "bidirectional", MEM);
    expect(link(0, RAM, 0x1000)).toThrow(/EADDRINUSE/);
    expect(link(0x3000, RAM, 0x1001)).toThrow(/EINVAL.*beyond/);
    for (const [offset, size] of [
      [-0x1000, 0x1000],
      [0x1000, 0],
      [NaN, 0x1000],
    ] as const)
      expect(link(offset, RAM, size)).toThrow(/EINVAL.*piece/);
    expect(link(0x1000, RAM + 8, 8)).toThrow(/EINVAL.*offset in its page/);
  });

  it("an unaligned piece of a device that is not trusted cannot be linked", () => {
    const at = addr<PhysAddr>(RAM + 8);
    const untrusted = alloc(translated({ untrusted: [NIC] }), at, 8);
    expect(() => untrusted.link(0, at, 8, "bidirectional", { mmio: true })).toThrow(/EPERM.*MMIO/);
    expect(() => untrusted.link(0, at, 8, "bidirectional", MEM)).toThrow(/ENOMEM.*dma_map_phys/);
    const r = translated();
    const trusted = alloc(r, at, 8);
    trusted.link(0, at, 8, "bidirectional", MEM);
    expect([trusted.address % 4096, reads(r, trusted.address)]).toEqual([8, "done"]);
  });
});

it("behind an SMMU a page that is linked where one is, is refused; a block takes the place of a page", () => {
  const r = rig({ iommu: "translated", machine: { iommuKind: "smmu-v3" } });
  const at = addr<PhysAddr>(BAR + 0x20_0000);
  const state = r.nic.dma.tryAllocIova(at, 0x40_0000) as DmaIovaState;
  state.link(0, BAR, 4096, "bidirectional", { mmio: true });
  expect(() => state.link(0, at, 4096, "bidirectional", { mmio: true })).toThrow(/EEXIST/);
  state.link(0, at, 0x20_0000, "bidirectional", { mmio: true });
  r.run(r.nic.write(state.address, bytes(5)));
  expect([r.machine.memory.read(at, 8), r.machine.memory.read(BAR, 8)]).toEqual([bytes(5), bytes(0)]);
});

it("a page that was used is not in the IOTLB any more when a block has its place", () => {
  const r = rig({ iommu: "translated", machine: { iommuKind: "smmu-v3" } });
  const at = addr<PhysAddr>(BAR + 0x20_0000);
  const state = r.nic.dma.tryAllocIova(at, 0x20_0000) as DmaIovaState;
  state.link(0, BAR, 4096, "bidirectional", { mmio: true });
  r.run(r.nic.write(state.address, bytes(4)));
  state.link(0, at, 0x20_0000, "bidirectional", { mmio: true });
  r.run(r.nic.write(state.address, bytes(5)));
  expect([r.machine.memory.read(at, 8), r.machine.memory.read(BAR, 8)]).toEqual([bytes(5), bytes(4)]);
});

it("a guest's second stage is not filled by the IOMMU's driver, though the format is the same", () => {
  const { machine } = rig({ machine: { iommuKind: "smmu-v3" } });
  const vm = new GuestVm(machine, "guest", false, { format: armStage2 });
  vm.table.map(0, BAR, 4096, { read: true, write: true });
  expect(() => vm.table.map(0, BAR, 0x20_0000, { read: true, write: true })).toThrow(/EADDRINUSE/);
});

it.each([
  ["vt-d", 0xfee0_0000, "lost"],
  ["smmu-v3", 0xfee0_0000, "fault"],
  ["smmu-v3", 0x0800_0000, "fault"],
] as const)("%s: a write to %i, where nothing is mapped, ends as %s: an SMMU translates interrupts too", (...told) => {
  const [iommuKind, address, end] = told;
  const r = rig({ iommu: "translated", machine: { iommuKind } });
  expect(r.run(r.nic.write(addr<DmaAddr>(address), bytes(1))).kind).toBe(end);
});
