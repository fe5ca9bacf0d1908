/** Where the caches of the CPUs are in front of memory, the type in a table says who looks into them. */
import { addr, type DmaAddr, type Gpa } from "@dma-buf/core";
import type { MemoryType } from "@dma-buf/page-table";
import { describe, expect, it } from "vitest";
import { Cpu } from "./cpu.js";
import { GuestVm } from "./guest.js";
import { MachineDomain } from "./iommufd-domain.js";
import { BAR, bytes, rig } from "./testing.js";

const IOVA = addr<DmaAddr>(0x1000_0000);
const [CACHED, UNCACHED] = [0x1000, 0x2000];
const [OLD, NEW] = [bytes(1), bytes(2)];

/** A BAR that a CPU has cached, with a store in the cache; a device has it by a leaf of `cache`. */
function world(cache: MemoryType | undefined, coherent = false) {
  const r = rig({ base: "T2", iommu: "translated", machine: { iommuKind: "smmu-v3", coherent } });
  const { machine, nic, run } = r;
  machine.memory.write(BAR, OLD);
  const cpu = new Cpu(machine, "CPU 0");
  cpu.map(CACHED, BAR, 4096, { cache: "wb" });
  cpu.map(UNCACHED, BAR, 4096, { cache: "uc" });
  const domain = new MachineDomain(machine, "domain");
  domain.attachDevice(nic);
  domain.table.map(IOVA, BAR, 4096, { read: true, write: true, ...(cache ? { cache } : {}) });
  run(cpu.write(CACHED, NEW));
  return { ...r, cpu };
}

describe("a store that is in the cache", () => {
  it.each<[MemoryType | undefined, Uint8Array]>([
    ["wb", NEW],
    ["uc", OLD],
    ["wc", OLD],
    [undefined, OLD],
  ])("a device whose leaf is %s", (cache, seen) => {
    const { run, nic } = world(cache);
    // The first read walks, the second is answered by the IOTLB.
    expect(run(nic.read(IOVA, 8))).toEqual({ kind: "done", bytes: seen });
    expect(run(nic.read(IOVA, 8))).toEqual({ kind: "done", bytes: seen });
  });

  it("is met by every mapping that is cached, and by none that is not", () => {
    const { run, cpu, machine } = world("uc");
    for (const _walkThenTlb of [1, 2]) {
      expect(run(cpu.read(CACHED, 8))).toMatchObject({ bytes: NEW });
      expect(run(cpu.read(UNCACHED, 8))).toMatchObject({ bytes: OLD });
    }
    expect([machine.peek(BAR, 8), machine.memory.read(BAR, 8)]).toEqual([NEW, OLD]);
  });
});

it("a guest meets the caches where what it asks for and what the leaf says together are write-back", () => {
  for (const [guestType, seen] of [
    ["wb", NEW],
    ["uc", OLD],
  ] as const) {
    const { machine, run } = world("wb");
    const vm = new GuestVm(machine, "guest", false, { guestType });
    vm.table.map(0x3000, BAR, 4096, { read: true, write: true, execute: false, cache: "wb" });
    expect(run(vm.read(addr<Gpa>(0x3000), 8))).toMatchObject({ bytes: seen });
  }
});

it("a device's write that snoops takes the line out of the caches; one that does not is hidden by it", () => {
  for (const [cache, seen] of [
    ["wb", bytes(3)],
    ["uc", NEW],
  ] as const) {
    const { run, nic, cpu } = world(cache);
    run(nic.write(IOVA, bytes(3)));
    expect(run(cpu.read(CACHED, 8))).toMatchObject({ bytes: seen });
  }
});

it("a machine whose devices look into the caches anyway has none that could be missed", () => {
  const { run, nic, machine } = world("uc", true);
  expect(machine.cpuCache).toBeNull();
  expect(run(nic.read(IOVA, 8))).toEqual({ kind: "done", bytes: NEW });
  expect(machine.peek(BAR, 8)).toEqual(NEW);
});
