import { addr, type DmaAddr, type PhysAddr } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { BAR, bytes, RAM, type Rig, rig, type RigOptions } from "../testing.js";

const MEM = { mmio: false };
const NIC = "0000:04:00.0";
const translated = (machine: RigOptions["machine"] = {}): Rig => rig({ iommu: "translated", machine });
const map = (r: Rig, physical: PhysAddr = RAM, sizeBytes = 4096): DmaAddr =>
  r.nic.dma.mapPhys(physical, sizeBytes, "bidirectional", MEM);
const reads = (r: Rig, at: DmaAddr): string => r.run(r.nic.read(at, 8)).kind;

describe("a device that is not trusted", () => {
  it("gets a bounce buffer for what shares its page with other data, and sees none of that", () => {
    const r = translated({ untrusted: [NIC] });
    r.machine.memory.write(RAM, bytes(5, 4096));
    const address = map(r, addr<PhysAddr>(RAM + 0x100), 8);
    expect(address % 4096).toBe(0x100);
    expect(r.run(r.nic.read(address, 8))).toEqual({ kind: "done", bytes: bytes(5) });
    expect(r.run(r.nic.read(addr<DmaAddr>(address + 8), 8))).toEqual({ kind: "done", bytes: bytes(0) });
    r.run(r.nic.write(address, bytes(6)));
    expect(r.machine.memory.read(RAM + 0x100, 8)).toEqual(bytes(5));
    r.nic.dma.syncForCpu(address, 8);
    expect(r.machine.memory.read(RAM + 0x100, 8)).toEqual(bytes(6));
    r.machine.memory.write(RAM + 0x100, bytes(7));
    r.nic.dma.syncForDevice(address, 8);
    expect(r.run(r.nic.read(address, 8))).toEqual({ kind: "done", bytes: bytes(7) });
    r.run(r.nic.write(address, bytes(8)));
    r.nic.dma.unmapPhys(address, 8);
    expect(r.machine.memory.read(RAM + 0x100, 8)).toEqual(bytes(8));
  });

  it("gives its slots back once: whoever has them next keeps them", () => {
    const r = translated({ untrusted: [NIC] });
    const first = map(r, RAM, 8);
    r.nic.dma.unmapPhys(first, 8);
    expect(map(r)).toBe(first);
    map(r, addr<PhysAddr>(RAM + 4096), 8);
    r.nic.dma.unmapPhys(first, 4096);
    expect(r.machine.resources.read()).toMatchObject({ dmaMappings: 1, swiotlbSlots: 2 });
  });

  it("does not see what the slots held before", () => {
    const r = translated({ untrusted: [NIC] });
    r.machine.memory.write(RAM, bytes(0x5e, 4000));
    r.nic.dma.unmapPhys(map(r, RAM, 4000), 4000);
    const address = map(r, addr<PhysAddr>(RAM + 0x1_0100), 8);
    for (const into of [-8, 8])
      expect(r.run(r.nic.read(addr<DmaAddr>(address + into), 8))).toEqual({ kind: "done", bytes: bytes(0) });
  });

  it("is refused where there are no bounce buffers, rather than shown whole pages", () => {
    const r = translated({ untrusted: [NIC], swiotlbBytes: 0 });
    expect(() => map(r, RAM, 8)).toThrow(/ENOMEM.*bounce buffers are inactive/);
    expect(r.machine.resources.read()).toMatchObject({ dmaMappings: 0, iovas: 0 });
    expect(reads(r, map(r))).toBe("done");
    expect(r.nic.dma.maxMappingBytes).toBe(Infinity);
  });

  it.each([
    ["identity", "fault"],
    ["off", "done"],
  ] as const)("in mode %s: an address that nobody mapped ends as %s", (iommu, kind) => {
    const r = rig({ iommu, machine: { untrusted: [NIC] } });
    expect(reads(r, addr<DmaAddr>(RAM))).toBe(kind);
  });

  it("reaches device memory itself", () => {
    const r = translated({ untrusted: [NIC] });
    const address = r.nic.dma.mapPhys(addr<PhysAddr>(BAR + 8), 8, "bidirectional", { mmio: true });
    r.run(r.nic.write(address, bytes(3)));
    expect(r.machine.memory.read(BAR + 8, 8)).toEqual(bytes(3));
  });

  it("gets whole pages as they are", () => {
    const r = translated({ untrusted: [NIC] });
    r.run(r.nic.write(map(r), bytes(4)));
    expect(r.machine.memory.read(RAM, 8)).toEqual(bytes(4));
    expect(r.nic.dma.maxMappingBytes).toBe(256 * 1024);
  });
});

it("an untrusted device's part of a page that must be coherent is refused, and a whole page is not", () => {
  const r = translated({ untrusted: [NIC] });
  const coherent = { mmio: false, requireCoherent: true };
  expect(() => r.nic.dma.mapPhys(RAM, 8, "bidirectional", coherent)).toThrow(
    /EIO.*must bounce, and it must be coherent/,
  );
  expect(r.machine.resources.read()).toMatchObject({ dmaMappings: 0, iovas: 0, swiotlbSlots: 0 });
  r.run(r.nic.write(r.nic.dma.mapPhys(RAM, 4096, "bidirectional", coherent), bytes(5)));
  expect(r.machine.memory.read(RAM, 8)).toEqual(bytes(5));
});
