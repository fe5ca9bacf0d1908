import { addr, type DmaAddr, type PhysAddr } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { bytes, RAM, type Rig, rig, type RigOptions } from "../testing.js";
import { FlushQueue, QUEUE_MAX } from "./flush-queue.js";

const MEM = { mmio: false };
const NIC = "0000:04:00.0";
const translated = (machine: RigOptions["machine"] = {}): Rig => rig({ iommu: "translated", machine });
const map = (r: Rig, physical: PhysAddr = RAM, sizeBytes = 4096): DmaAddr =>
  r.nic.dma.mapPhys(physical, sizeBytes, "bidirectional", MEM);
const reads = (r: Rig, at: DmaAddr): string => r.run(r.nic.read(at, 8)).kind;

it("maps what a direction allows, and keeps the offset in the page", () => {
  const r = translated();
  const address = r.nic.dma.mapPhys(addr<PhysAddr>(RAM + 0x120), 0x1000, "to-device", MEM);
  expect(address % 4096).toBe(0x120);
  expect(reads(r, addr<DmaAddr>(address + 0xff8))).toBe("done");
  expect(r.run(r.nic.write(address, bytes(1))).kind).toBe("fault");
  r.nic.dma.unmapPhys(address, 0x1000);
  expect(reads(r, addr<DmaAddr>(address + 0xff8))).toBe("fault");
  expect(r.machine.ledger.dmaMappings).toBe(0);
});

it("strict: after unmap nothing is reached, and the IOVA is free", () => {
  const r = translated();
  const address = map(r);
  expect(reads(r, address)).toBe("done");
  r.nic.dma.unmapPhys(address, 4096);
  expect(reads(r, address)).toBe("fault");
  expect(map(r)).toBe(address);
});

describe("lazy", () => {
  it("what was unmapped is reached, and its IOVA held, until the timer", () => {
    const r = translated({ flush: "lazy" });
    const address = map(r);
    reads(r, address);
    r.nic.dma.unmapPhys(address, 4096);
    expect(reads(r, address)).toBe("done");
    expect(map(r)).not.toBe(address);
    r.machine.flushQueueTimer();
    expect(reads(r, address)).toBe("fault");
    expect(map(r)).toBe(address);
  });

  it("a full queue is flushed by the next unmap", () => {
    const r = translated({ flush: "lazy" });
    const first = map(r);
    reads(r, first);
    r.nic.dma.unmapPhys(first, 4096);
    for (let i = 1; i < QUEUE_MAX; i++) r.nic.dma.unmapPhys(map(r), 4096);
    expect(reads(r, first)).toBe("done");
    r.nic.dma.unmapPhys(map(r), 4096);
    expect(reads(r, first)).toBe("fault");
  });

  it("tables that came out are held too", () => {
    const r = translated({ flush: "lazy" });
    const before = r.machine.memory.tables.liveTables;
    const [address, size] = [map(r, addr<PhysAddr>(RAM + 4096), 0x20_0000), 0x20_0000];
    const during = r.machine.memory.tables.liveTables;
    r.nic.dma.unmapPhys(address, size);
    expect(r.machine.memory.tables.liveTables).toBe(during);
    r.machine.flushQueueTimer();
    expect(r.machine.memory.tables.liveTables).toBeLessThan(during);
    expect(before).toBeLessThan(during);
  });

  it("but a device that is not trusted is flushed strictly", () => {
    const r = translated({ flush: "lazy", untrusted: [NIC] });
    const address = map(r);
    reads(r, address);
    r.nic.dma.unmapPhys(address, 4096);
    expect(reads(r, address)).toBe("fault");
  });
});

describe.each(["strict", "lazy"] as const)("%s: what is unmapped", (flush) => {
  it("is a mapping, whole and once; else nothing changes", () => {
    const r = translated({ flush });
    const [address, other] = [map(r, RAM, 8192), map(r)];
    const before = r.machine.resources.read();
    for (const [at, size] of [
      [address, 4096],
      [address + 4096, 4096],
      [address, 8191],
    ] as const)
      expect(() => r.nic.dma.unmapPhys(addr<DmaAddr>(at), size)).toThrow(/EINVAL.*whole and once/);
    expect(r.machine.resources.read()).toEqual(before);
    expect(reads(r, addr<DmaAddr>(address + 4096))).toBe("done");
    r.nic.dma.unmapPhys(address, 8192);
    expect(() => r.nic.dma.unmapPhys(address, 8192)).toThrow(/EINVAL.*nothing is mapped/);
    r.nic.dma.unmapPhys(other, 4096);
    r.machine.flushQueueTimer();
    expect(r.machine.resources.read()).toMatchObject({ dmaMappings: 0, iovas: 0, queuedIovas: 0 });
  });
});

it("a queue gives everything back, even where one cannot be", () => {
  const released: number[] = [];
  const queue = new FlushQueue(
    () => {},
    ({ iova }) => {
      released.push(iova);
      if (iova === 1) throw new RangeError("the first");
    },
  );
  for (const iova of [1, 2, 3]) queue.add({ iova: addr(iova), tables: [] });
  expect(() => queue.drain()).toThrow(/the first/);
  expect([released, queue.length]).toEqual([[1, 2, 3], 0]);
});

it.each(["identity", "translated"] as const)("%s: no bytes are no mapping", (iommu) => {
  const r = rig({ iommu });
  const before = r.machine.resources.read();
  for (const size of [0, -4096, 0.5]) expect(() => map(r, RAM, size)).toThrow(/EINVAL/);
  expect(r.nic.dma.tryAllocIova(RAM, 0)).toBeNull();
  expect(r.machine.resources.read()).toEqual(before);
});

it("a mapping that is refused leaves nothing behind", () => {
  const r = translated({ tablesMax: 2, untrusted: [NIC] });
  expect(() => map(r)).toThrow(/ENOMEM/);
  expect(() => map(r, addr<PhysAddr>(RAM + 8), 8)).toThrow(/ENOMEM/);
  expect(r.machine.resources.read()).toMatchObject({ dmaMappings: 0, swiotlbSlots: 0 });
  // The highest one is free again.
  expect(r.nic.dma.tryAllocIova(RAM, 4096)?.address).toBe(0xffff_f000);
});

it("the ledger counts what is out: mappings, slots, and IOVAs in the queue", () => {
  const r = translated({ flush: "lazy", untrusted: ["0000:03:00.0"] });
  const gpu = r.machine.device("0000:03:00.0");
  gpu.dma.mapPhys(addr<PhysAddr>(RAM + 8), 8, "to-device", MEM);
  r.nic.dma.unmapPhys(map(r), 4096);
  expect(r.machine.resources.read()).toMatchObject({ dmaMappings: 1, swiotlbSlots: 2, queuedIovas: 1 });
  r.machine.flushQueueTimer();
  expect(r.machine.resources.read()).toMatchObject({ queuedIovas: 0 });
});

it("an IOVA beyond the mask is refused with the limit", () => {
  const r = translated({ dmaMaskBits: 12 });
  expect(() => map(r)).toThrow(/ENOMEM.*up to 0xfff/);
  expect(r.nic.dma.tryAllocIova(RAM, 4096)).toBeNull();
});
