import { addr, type PhysAddr } from "@dma-buf/core";
import { expect, it } from "vitest";
import { Cpu } from "./cpu.js";
import { BAR, bytes, rig, upTo } from "./testing.js";
import { VfioPciDevice } from "./vfio.js";

it("memory BARs have a place and a size; what is not there has none", () => {
  const { machine, gpu } = rig();
  const vfio = new VfioPciDevice(machine, gpu.address);
  expect(vfio.region(0)).toEqual({ physical: BAR, sizeBytes: 2 ** 30 });
  expect([vfio.region(1), vfio.provider(1)]).toEqual([null, null]);
  expect(vfio.provider(0)?.busOffsetBytes).toBe(0);
});

it("I/O BARs have a place and a size too, and no provider", () => {
  const io = {
    index: 2,
    space: "io",
    base: addr<PhysAddr>(0xe000),
    sizeBytes: 256,
    prefetchable: false,
    bits: 32,
  } as const;
  const { machine, gpu } = rig({ captured: (fn) => ({ ...fn, bars: [...fn.bars, { ...io, enabled: true }] }) });
  const vfio = new VfioPciDevice(machine, gpu.address);
  expect([vfio.region(2), vfio.provider(2)]).toEqual([{ physical: 0xe000, sizeBytes: 256 }, null]);
});

it("can be reset, unless it is said that it cannot", () => {
  const { machine, gpu } = rig();
  const { canReset, hasFlr } = new VfioPciDevice(machine, gpu.address);
  const other = new VfioPciDevice(machine, gpu.address, { canReset: false, hasFlr: false });
  expect([canReset, hasFlr, other.canReset, other.hasFlr]).toEqual([true, true, false, false]);
});

it("a virtual function has no decode bit: it is enabled, and writing changes nothing", () => {
  const { machine, gpu, run } = rig({ captured: (fn) => ({ ...fn, physfn: "0000:03:00.7", memoryEnabled: false }) });
  const vfio = new VfioPciDevice(machine, gpu.address);
  const before = machine.functions.memory(gpu);
  for (const on of [true, false]) {
    run(vfio.writeMemoryEnabled(on));
    expect([vfio.memoryEnabled, machine.functions.memory(gpu)]).toEqual([true, before]);
  }
});

it("decode, power and reset are the function's own", () => {
  const { machine, gpu, run } = rig();
  const vfio = new VfioPciDevice(machine, gpu.address);
  vfio.setMemoryEnabled(false);
  expect(machine.functions.memory(gpu)).toBe(false);
  run(vfio.writeMemoryEnabled(true));
  expect(vfio.memoryEnabled).toBe(true);
  vfio.setPowerState("D3hot");
  expect([vfio.powerState, machine.functions.refusal(gpu, null)?.reason]).toEqual([
    "D3hot",
    "0000:03:00.0 is in D3hot: unsupported request",
  ]);
  vfio.setPowerState("D0");
  run(vfio.reset());
  expect([machine.functions.resets(gpu), vfio.memoryEnabled]).toEqual([1, true]);
});

it("a configuration write waits for the stores before it", () => {
  const { machine, scheduler, gpu, run } = rig();
  const vfio = new VfioPciDevice(machine, gpu.address);
  const cpu = new Cpu(machine, "CPU 0");
  cpu.map(0x1000, BAR, 4096, { cache: "uc" });
  const store = cpu.write(0x1000, bytes(1));
  upTo(store, "fabric.arrive");
  const off = scheduler.spawn("off", vfio.writeMemoryEnabled(false));
  expect(scheduler.run()).toMatchObject({ kind: "deadlock", waits: [{ blockedOn: "1 stores to 0000:03:00.0" }] });
  expect([off.state, vfio.memoryEnabled]).toEqual(["ended", true]);
  while (!store.next().done);
  run(vfio.writeMemoryEnabled(false));
  expect(vfio.memoryEnabled).toBe(false);
});

it("and not for loads", () => {
  const { machine, gpu, run } = rig();
  const cpu = new Cpu(machine, "CPU 0");
  cpu.map(0x1000, BAR, 4096, { cache: "uc" });
  const load = cpu.read(0x1000, 8);
  upTo(load, "fabric.arrive");
  run(new VfioPciDevice(machine, gpu.address).writeMemoryEnabled(false));
  expect(load.next().value).toMatchObject({ kind: "lost", bytes: bytes(0xff) });
});
