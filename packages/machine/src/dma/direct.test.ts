import { addr, type Direction, type PhysAddr } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { BAR, bytes, RAM, type Rig, rig } from "../testing.js";

const MEM = { mmio: false };
/** RAM that a 30-bit device does not reach. */
const HIGH = addr<PhysAddr>(0x5000_0000);
const narrow = (swiotlbBytes?: number): Rig =>
  rig({ machine: { dmaMaskBits: 30, ...(swiotlbBytes === undefined ? {} : { swiotlbBytes }) } });

it("what the mask reaches has its own address, and no second place", () => {
  const r = narrow();
  expect(r.nic.dma.mapPhys(RAM, 4096, "bidirectional", MEM)).toBe(RAM);
  expect(r.machine.ledger.dmaMappings).toBe(1);
  r.nic.dma.unmapPhys(addr(RAM), 4096);
  expect(r.machine.ledger.dmaMappings).toBe(0);
  // The last byte counts.
  expect(r.nic.dma.mapPhys(addr(0x3fff_f000), 4096, "to-device", MEM)).toBe(0x3fff_f000);
  expect(r.nic.dma.mapPhys(addr(0x3fff_f000), 4097, "to-device", MEM)).not.toBe(0x3fff_f000);
});

it("one address is unmapped as often as it was mapped, each time as large", () => {
  const r = narrow();
  for (const size of [4096, 8192, 4096]) r.nic.dma.mapPhys(RAM, size, "bidirectional", MEM);
  r.nic.dma.unmapPhys(addr(RAM), 8192);
  expect(() => r.nic.dma.unmapPhys(addr(RAM), 8192)).toThrow(/EINVAL.*4096, 4096 is mapped there/);
  for (const size of [4096, 4096]) r.nic.dma.unmapPhys(addr(RAM), size);
  expect(() => r.nic.dma.unmapPhys(addr(RAM), 4096)).toThrow(/EINVAL.*nothing is mapped/);
  expect(r.machine.ledger.dmaMappings).toBe(0);
});

it("device memory beyond the mask is refused, never bounced", () => {
  expect(() => narrow().nic.dma.mapPhys(BAR, 4096, "bidirectional", { mmio: true })).toThrow(
    /ENOMEM: 0x4000000000 is beyond the 30-bit DMA mask of 0000:04:00.0: MMIO is never bounced/,
  );
});

it("without a pool, or with one that is beyond the mask as well, RAM is refused too", () => {
  expect(() => narrow(0).nic.dma.mapPhys(HIGH, 4096, "to-device", MEM)).toThrow(/ENOMEM.*there is no bounce buffer/);
  const r = rig({ machine: { dmaMaskBits: 29 } });
  expect(() => r.nic.dma.mapPhys(HIGH, 4096, "to-device", MEM)).toThrow(/ENOMEM.*bounce buffers at 0x20000000/);
});

describe("the copies of a bounce buffer", () => {
  it.each<[Direction, number, number]>([
    ["to-device", 1, 2],
    ["from-device", 9, 1],
    ["bidirectional", 9, 2],
  ])("%s: for the CPU the original has %i, for the device the slot has %i", (direction, forCpu, forDevice) => {
    const r = narrow();
    r.machine.memory.write(HIGH, bytes(1));
    const address = r.nic.dma.mapPhys(HIGH, 4096, direction, MEM);
    expect(address).toBe(0x2000_0000);
    // Even what the device only writes is copied into the slots at map.
    expect(r.machine.memory.read(address, 8)).toEqual(bytes(1));
    r.machine.memory.write(HIGH, bytes(2));
    r.nic.dma.syncForDevice(address, 8);
    expect(r.machine.memory.read(address, 8)).toEqual(bytes(forDevice));
    r.machine.memory.write(HIGH, bytes(1));
    r.run(r.nic.write(address, bytes(9)));
    expect(r.machine.memory.read(HIGH, 8)).toEqual(bytes(1));
    r.nic.dma.syncForCpu(address, 8);
    expect(r.machine.memory.read(HIGH, 8)).toEqual(bytes(forCpu));
  });

  it.each<[Direction, boolean, number]>([
    ["to-device", false, 1],
    ["from-device", false, 9],
    ["bidirectional", false, 9],
    ["bidirectional", true, 1],
  ])("%s, skipCpuSync %s: after unmap the original has %i", (direction, skipCpuSync, left) => {
    const r = narrow();
    r.machine.memory.write(HIGH, bytes(1));
    const address = r.nic.dma.mapPhys(HIGH, 4096, direction, MEM);
    r.run(r.nic.write(address, bytes(9)));
    r.nic.dma.unmapPhys(address, 4096, { mmio: false, skipCpuSync });
    expect(r.machine.memory.read(HIGH, 8)).toEqual(bytes(left));
  });

  it("nothing beyond a mapping is synced", () => {
    const r = narrow();
    const address = r.nic.dma.mapPhys(HIGH, 512, "bidirectional", MEM);
    r.machine.memory.write(HIGH, bytes(9, 1024));
    r.nic.dma.syncForCpu(addr(address + 256), 4096);
    expect(r.machine.memory.read(HIGH + 504, 16)).toEqual(Uint8Array.of(...bytes(0), ...bytes(9)));
    r.machine.memory.write(HIGH, bytes(7, 1024));
    r.nic.dma.syncForDevice(addr(address + 256), 4096);
    expect(r.machine.memory.read(address + 504, 16)).toEqual(Uint8Array.of(...bytes(7), ...bytes(0)));
  });

  it("a part of a mapping is synced alone", () => {
    const r = narrow();
    const address = r.nic.dma.mapPhys(HIGH, 4096, "bidirectional", MEM);
    r.machine.memory.write(address, bytes(7, 32));
    r.nic.dma.syncForCpu(addr(address + 8), 8);
    expect(r.machine.memory.read(HIGH, 24)).toEqual(Uint8Array.of(...bytes(0), ...bytes(7), ...bytes(0)));
  });
});

describe("the size of a bounced mapping", () => {
  it("ends at 128 slots of 2 KiB", () => {
    const r = narrow();
    const max = r.nic.dma.maxMappingBytes;
    expect(max).toBe(256 * 1024);
    r.nic.dma.mapPhys(HIGH, max, "to-device", MEM);
    expect(() => r.nic.dma.mapPhys(HIGH, max + 1, "to-device", MEM)).toThrow(/EINVAL.*262144 bytes/);
  });

  it("has no limit where nothing bounces", () => {
    expect(rig().nic.dma.maxMappingBytes).toBe(Infinity);
    expect(narrow(0).nic.dma.maxMappingBytes).toBe(Infinity);
    const r = rig({ machine: { dmaMaskBits: 33 } });
    const [{ base, sizeBytes } = { base: 0, sizeBytes: 0 }] = r.machine.memory.ram;
    expect(base + sizeBytes).toBeLessThanOrEqual(2 ** 33);
    expect(r.nic.dma.maxMappingBytes).toBe(Infinity);
  });

  it("does not cross a segment, and slots come back", () => {
    const r = narrow(512 * 1024);
    const first = r.nic.dma.mapPhys(HIGH, 2048, "to-device", MEM);
    const whole = r.nic.dma.mapPhys(HIGH, 256 * 1024, "to-device", MEM);
    expect([first, whole]).toEqual([0x2000_0000, 0x2004_0000]);
    expect(() => r.nic.dma.mapPhys(HIGH, 256 * 1024, "to-device", MEM)).toThrow(/ENOMEM.*128 slots/);
    r.nic.dma.unmapPhys(first, 2048);
    expect(r.nic.dma.mapPhys(HIGH, 256 * 1024, "to-device", MEM)).toBe(0x2000_0000);
  });
});

it("a device that passes through has no IOVAs", () => {
  expect(rig().nic.dma.tryAllocIova(RAM, 4096)).toBeNull();
});

it("what must be coherent is refused where it would bounce, pool or not, and takes no slot", () => {
  const attributes = { mmio: false, requireCoherent: true };
  for (const r of [narrow(), narrow(0)]) {
    const before = r.machine.resources.read();
    expect(() => r.nic.dma.mapPhys(HIGH, 4096, "bidirectional", attributes)).toThrow(
      /EIO: 0x50000000 is beyond the 30-bit DMA mask of 0000:04:00.0: it must be coherent/,
    );
    expect(r.machine.resources.read()).toEqual(before);
    expect(r.nic.dma.mapPhys(RAM, 4096, "bidirectional", attributes)).toBe(RAM);
  }
});

it("what the bus does not carry is refused as what the device does not drive is", () => {
  const r = rig({ machine: { busDmaLimit: BAR } });
  expect(() => r.nic.dma.mapPhys(BAR, 4096, "bidirectional", { mmio: true })).toThrow(
    /ENOMEM: 0x4000000000 is beyond the bus limit 0x4000000000 of 0000:04:00.0/,
  );
  expect(r.nic.dma.mapPhys(addr(BAR - 4096), 4096, "bidirectional", { mmio: true })).toBe(BAR - 4096);
  const translated = rig({ iommu: "translated", machine: { busDmaLimit: 2 ** 20 } });
  expect(translated.nic.dma.mapPhys(BAR, 4096, "bidirectional", { mmio: true })).toBeLessThan(2 ** 20);
});
