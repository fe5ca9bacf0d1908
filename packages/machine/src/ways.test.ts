import { addr, type DmaAddr, type Gpa, Scheduler, Trace } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { Cpu } from "./cpu.js";
import { GuestVm } from "./guest.js";
import { BAR, bytes, dmaOf, rig } from "./testing.js";

const IOVA = addr<DmaAddr>(0x10_0000);

describe("the way of an access", () => {
  it("has each port that a request passes sideways, and where it arrived", () => {
    const { machine, nic, run } = rig();
    run(nic.write(dmaOf(BAR), bytes(1)));
    const [way] = machine.ways.ended;
    expect(way?.hops.map((h) => h.at)).toEqual(["0000:02:01.0", "0000:03:00.0"]);
    expect(way?.task).toBe("test");
    expect(way?.lookups).toEqual([]);
    expect(way?.arrival).toBe(machine.arrivals[0]);
  });

  it("has the entries that an IOMMU reads, the root's first, and none when the IOTLB answers", () => {
    const { machine, nic, run } = rig({ base: "T2", iommu: "translated" });
    const mapped = nic.dma.mapPhys(BAR, 4096, "bidirectional", { mmio: true });
    run(nic.write(mapped, bytes(1)));
    run(nic.write(mapped, bytes(2)));
    const [first, second] = machine.ways.ended.map((way) => way.lookups);
    expect(first?.map((l) => [l.address, l.physical, l.walk?.steps.map((s) => s.level)])).toEqual([
      [mapped, BAR, [3, 2, 1, 0]],
    ]);
    expect(second?.map((l) => [l.physical, l.walk])).toEqual([[BAR, null]]);
    expect(machine.ways.ended[0]?.hops.at(-1)).toEqual({
      at: "0000:01:00.0",
      action: expect.stringContaining("claims"),
    });
  });

  it("ends at a walk that finds nothing", () => {
    const { machine, nic, run } = rig({ base: "T2", iommu: "translated" });
    run(nic.read(IOVA, 8));
    const [way] = machine.ways.ended;
    expect(way?.lookups.map((l) => [l.physical, l.walk?.kind])).toEqual([[null, "fault"]]);
    expect(way?.arrival.target).toBe("nothing");
  });

  it("keeps the walk that missed in front of the one that hit, where somebody filled the table between", () => {
    const { machine, run } = rig();
    const vm = new GuestVm(machine, "guest", false);
    const gpa = addr<Gpa>(0x1000);
    const fault = function* () {
      expect((yield* vm.write(gpa, bytes(1))).kind).toBe("violation");
      vm.table.map(gpa, BAR, 4096, { read: true, write: true, execute: false, cache: "uc" });
      yield* vm.write(gpa, bytes(1));
    };
    run(fault());
    expect(machine.ways.ended.map((way) => way.lookups.map((l) => l.walk?.kind))).toEqual([["fault", "hit"]]);
  });

  it("is each access's own, of one task too", () => {
    const { machine, nic, run } = rig();
    const both = function* () {
      yield* nic.write(dmaOf(BAR), bytes(1));
      yield* nic.write(dmaOf(BAR), bytes(2));
    };
    run(both());
    expect(machine.ways.ended.map((way) => way.hops.length)).toEqual([2, 2]);
  });

  it("of a device has nothing of what a CPU of the same task did not find", () => {
    const { machine, nic, run } = rig();
    const cpu = new Cpu(machine, "CPU 0");
    const both = function* () {
      expect((yield* cpu.read(0x1000, 8)).kind).toBe("page-fault");
      yield* nic.write(dmaOf(BAR), bytes(1));
    };
    run(both());
    expect(machine.ways.ended.map((way) => way.lookups)).toEqual([[]]);
  });

  it("is not kept where the trace keeps nothing", () => {
    const scheduler = new Scheduler();
    const { machine, nic, run } = rig({ scheduler, machine: { trace: new Trace(scheduler, false) } });
    run(nic.write(dmaOf(BAR), bytes(1)));
    expect(machine.arrivals).toHaveLength(1);
    expect(machine.ways.ended).toEqual([]);
  });
});
