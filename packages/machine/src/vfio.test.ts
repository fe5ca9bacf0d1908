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
