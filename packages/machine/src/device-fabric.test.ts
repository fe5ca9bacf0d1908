import { addr, type FabricAddr } from "@dma-buf/core";
import { expect, it } from "vitest";
import { DeviceFabric } from "./device-fabric.js";
import { bytes, dmaOf, RAM, rig, upTo } from "./testing.js";

function fabric() {
  const r = rig();
  const gpu = r.machine.device(r.gpu.address);
  const hive = new DeviceFabric(r.machine, "hive");
  hive.join(gpu);
  return { ...r, owner: gpu, hive };
}

it("carries bytes between members", () => {
  const { hive, owner, nic, run } = fabric();
  hive.join(nic);
  const first = hive.expose(owner, 4096);
  const second = hive.expose(nic, 4096);
  expect([first, second]).toEqual([0, 4096]);
  run(hive.write(nic, addr<FabricAddr>(first + 8), bytes(7)));
  expect(run(hive.read(owner, addr<FabricAddr>(8), 8))).toEqual({ kind: "done", bytes: bytes(7) });
  expect(run(hive.read(owner, second, 8))).toEqual({ kind: "done", bytes: bytes(0) });
});

it("an address of the fabric that reaches a device outside of it is lost, or another place on PCI", () => {
  const { machine, hive, owner, nic, run } = fabric();
  hive.expose(owner, 2 ** 22);
  run(hive.write(owner, addr<FabricAddr>(RAM), bytes(7)));
  expect(run(hive.read(nic, addr<FabricAddr>(RAM), 8))).toMatchObject({ kind: "lost", bytes: bytes(0xff) });
  expect(run(nic.read(dmaOf(RAM), 8))).toMatchObject({ kind: "done", bytes: bytes(0) });
  expect(machine.arrivals.at(-1)).toMatchObject({ target: "ram", physical: RAM });
});

it("who is in nobody's window, or crosses its end, is lost", () => {
  const { hive, owner, nic, run } = fabric();
  hive.expose(owner, 4096);
  expect(run(hive.write(owner, addr<FabricAddr>(4092), bytes(1)))).toMatchObject({ kind: "lost" });
  expect(run(hive.read(owner, addr<FabricAddr>(4088), 8)).kind).toBe("done");
  expect(() => hive.expose(nic, 4096)).toThrow(/0000:04:00\.0 is not in hive: join it first/);
});

it("needs the owner when it arrives, and the sender when it is sent; BAR decode and bus mastering do not matter", () => {
  const { machine, hive, owner, nic, run } = fabric();
  hive.join(nic);
  const at = hive.expose(owner, 4096);
  machine.functions.setMemory(owner.fn, false);
  machine.functions.setBusMaster(nic.fn, false);
  const write = hive.write(nic, at, bytes(3));
  upTo(write, "device-fabric.arrive");
  machine.functions.setPower(owner.fn, "D3hot");
  expect(run(write)).toEqual({ kind: "lost", reason: "0000:03:00.0 does not answer" });
  machine.functions.setPower(owner.fn, "D0");
  expect(run(hive.write(nic, at, bytes(3))).kind).toBe("done");
  machine.functions.unplug(nic.fn);
  expect(run(hive.write(nic, at, bytes(4)))).toMatchObject({ kind: "lost", reason: "0000:04:00.0 sends nothing" });
});
