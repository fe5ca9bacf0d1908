import { DmaBufError, Scheduler, seeded } from "@dma-buf/core";
import type { PciFunction } from "@dma-buf/pci";
import fc from "fast-check";
import { expect, it } from "vitest";
import { resetBus, resetFunction } from "./function-reset.js";
import { BAR, bytes, dmaOf, RAM, rig, type Rig, upTo } from "./testing.js";

it("silences, resets and restores, in this order", () => {
  const { machine, gpu, nic, run } = rig();
  const { functions } = machine;
  const reset = resetFunction(functions, gpu);
  const emptied: string[] = [];
  functions.onReset((fn) => emptied.push(fn.address));
  upTo(reset, "reset.flr");
  expect([functions.memory(gpu), functions.busMaster(gpu), functions.refusal(gpu, null)?.answer]).toEqual([
    false,
    false,
    "unsupported-request",
  ]);
  expect(emptied).toEqual([]);
  upTo(reset, "reset.silence");
  expect(emptied).toEqual([gpu.address]);
  expect(run(nic.read(dmaOf(BAR), 8))).toMatchObject({ kind: "lost", answer: "completion-timeout" });
  expect(functions.silence(gpu)).toBe("it is in reset");
  upTo(reset, "reset.restore");
  expect(functions.refusal(gpu, null)?.reason).toMatch(/does not decode memory/);
  expect(reset.next().done).toBe(true);
  expect([functions.memory(gpu), functions.busMaster(gpu)]).toEqual([true, true]);
  expect(run(nic.read(dmaOf(BAR), 8)).kind).toBe("done");
});

it("restores what was off as off", () => {
  const { machine, gpu, run } = rig();
  machine.functions.setMemory(gpu, false);
  run(resetFunction(machine.functions, gpu));
  expect([machine.functions.memory(gpu), machine.functions.busMaster(gpu)]).toEqual([false, true]);
});

it("one reset at a time: the second is told to try again, and the first goes on", () => {
  const { machine, gpu, run } = rig();
  const first = resetFunction(machine.functions, gpu);
  upTo(first, "reset.silence");
  expect(() => run(resetFunction(machine.functions, gpu))).toThrow(DmaBufError);
  expect(() => run(resetFunction(machine.functions, gpu))).toThrow(/EAGAIN: 0000:03:00.0: another reset/);
  while (!first.next().done);
  run(resetFunction(machine.functions, gpu));
  expect(machine.functions.resets(gpu)).toBe(2);
});

it("a reset whose task is ended gives the device lock back, and the silence ends", () => {
  const { machine, gpu, run } = rig();
  const reset = resetFunction(machine.functions, gpu);
  upTo(reset, "reset.silence");
  reset.return();
  expect(machine.functions.refusal(gpu, null)?.reason).toMatch(/does not decode memory/);
  run(resetFunction(machine.functions, gpu));
  expect(machine.functions.resets(gpu)).toBe(2);
});

it("what is gone is not reset, and what goes in the middle is not restored", () => {
  const { machine, gpu, run } = rig();
  const reset = resetFunction(machine.functions, gpu);
  upTo(reset, "reset.silence");
  machine.functions.unplug(gpu);
  while (!reset.next().done);
  expect(machine.functions.memory(gpu)).toBe(false);
  expect(() => run(resetFunction(machine.functions, gpu))).toThrow(/ENODEV: 0000:03:00.0: it was removed/);
});

it("a function in D3hot is woken first, and stays awake", () => {
  const { machine, gpu, run } = rig();
  machine.functions.setPower(gpu, "D3hot");
  run(resetFunction(machine.functions, gpu));
  expect([machine.functions.power(gpu), machine.functions.refusal(gpu, null)]).toEqual(["D0", null]);
});

it.each<[string, (r: Rig) => void]>([
  ["is without power", ({ machine, gpu }) => machine.functions.setPower(gpu, "D3cold")],
  [
    "was without power",
    ({ machine, gpu }) => {
      machine.functions.setPower(gpu, "D3cold");
      machine.functions.setPower(gpu, "D0");
    },
  ],
  ["is behind a port in D3hot", (r) => r.machine.functions.setPower(r.machine.topology.get("0000:02:00.0"), "D3hot")],
  ["is behind a dead link", (r) => r.machine.functions.setLink(r.machine.topology.get("0000:02:00.0"), false)],
])("what %s when the silence is over is not restored", (_name, change) => {
  const r = rig();
  const reset = resetFunction(r.machine.functions, r.gpu);
  upTo(reset, "reset.silence");
  change(r);
  while (!reset.next().done);
  expect([r.machine.functions.memory(r.gpu), r.machine.functions.busMaster(r.gpu)]).toEqual([false, false]);
});

it("a bus reset takes everything below, and nothing beside", () => {
  const { machine, gpu, nic, run } = rig();
  const { functions, topology } = machine;
  const emptied: string[] = [];
  functions.onReset((fn) => emptied.push(fn.address));
  run(resetBus(functions, topology.get("0000:01:00.0")));
  expect(emptied).toEqual(["0000:02:00.0", "0000:03:00.0", "0000:02:01.0", "0000:04:00.0"]);
  run(resetBus(functions, topology.get("0000:02:00.0")));
  expect([functions.resets(gpu), functions.resets(nic.fn)]).toEqual([2, 1]);
  expect(() => run(resetBus(functions, gpu))).toThrow(/ENOTTY: 0000:03:00.0: no bridge/);
});

it("a completion that comes after the reader's reset is dropped", () => {
  const { machine, nic, run } = rig();
  const read = nic.read(dmaOf(RAM), 8);
  upTo(read, "fabric.arrive");
  run(resetFunction(machine.functions, nic.fn));
  expect(read.next().value).toMatchObject({ kind: "lost", answer: "completion-timeout" });
});

it("whatever the order, a reset ends with the function as it was, and a write is whole or lost", () => {
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const { machine, scheduler, gpu, nic } = rig({ scheduler: new Scheduler(seeded(seed)) });
      const write = scheduler.spawn("write", nic.write(dmaOf(BAR), bytes(5)));
      scheduler.spawn("reset", resetFunction(machine.functions, gpu));
      expect(scheduler.run()).toEqual({ kind: "done" });
      expect(machine.functions.refusal(gpu, null)).toBeNull();
      const landed = write.result?.kind === "done";
      expect(machine.memory.read(BAR, 8)).toEqual(bytes(landed ? 5 : 0));
    }),
  );
});

it("the IOMMU blocks a function with ATS until the silence is over; a bus reset does not", () => {
  const withAts = (fn: PciFunction): PciFunction => ({ ...fn, ats: { enabled: false, queueDepth: 0 } });
  const { machine, gpu } = rig({ base: "T2", iommu: "translated", captured: withAts });
  const device = machine.device(gpu.address);
  const attach = (): void => machine.attachDomain(device, "identity");
  const reset = resetFunction(machine.functions, gpu);
  upTo(reset, "reset.flr");
  expect(attach).toThrow(/EBUSY: 0000:01:00.0 is blocked for a reset/);
  upTo(reset, "reset.restore");
  expect(attach).not.toThrow();
  while (!reset.next().done);
  const ended = resetFunction(machine.functions, gpu);
  upTo(ended, "reset.silence");
  expect(attach).toThrow(/EBUSY/);
  ended.return();
  expect(attach).not.toThrow();
  upTo(resetBus(machine.functions, machine.topology.get("0000:00:01.0")), "reset.bus");
  expect(attach).not.toThrow();
});

it("without ATS there is nothing to forget, and nothing is blocked", () => {
  const { machine, gpu } = rig({ base: "T2", iommu: "translated" });
  upTo(resetFunction(machine.functions, gpu), "reset.silence");
  expect(() => machine.attachDomain(machine.device(gpu.address), "identity")).not.toThrow();
});
