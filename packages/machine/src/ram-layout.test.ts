import { expect, it } from "vitest";
import { ramOf } from "./ram-layout.js";
import { addr, type PhysAddr } from "@dma-buf/core";
import { type PciFunction, Topology } from "@dma-buf/pci";
import { rig } from "./testing.js";

/** T1 with the exporter's BAR elsewhere. */
function withBar(base: number, sizeBytes: number): Topology {
  const { topology } = rig().machine;
  const moved = (fn: PciFunction): PciFunction => ({
    ...fn,
    bars: fn.bars.map((bar) => ({ ...bar, base: addr<PhysAddr>(base), sizeBytes })),
  });
  const gpu = topology.functions.filter((fn) => fn.bars.length > 0)[0] as PciFunction;
  const hostBridges = topology.hostBridges;
  return new Topology({ functions: [{ ...moved(gpu), address: "0000:00:03.0" }], hostBridges });
}

it("ends where the lowest BAR begins", () => {
  expect(ramOf(withBar(0x77f0_0000, 0x1_0000))).toEqual({ base: 0, sizeBytes: 0x77f0_0000 });
  expect(ramOf(withBar(0x40_0000_0000, 0x1_0000))).toEqual({ base: 0, sizeBytes: 0x8000_0000 });
});

it("lies above everything where BARs begin too low", () =>
  expect(ramOf(withBar(0x1000_0000, 2 ** 33))).toEqual({ base: 3 * 2 ** 32, sizeBytes: 0x8000_0000 }));

it("a machine with a BAR below 2 GiB keeps it apart from RAM", () => {
  const { machine } = rig({
    captured: (fn) =>
      fn.address === "0000:03:00.0"
        ? { ...fn, bars: fn.bars.map((b) => ({ ...b, base: addr<PhysAddr>(0x77f0_0000), sizeBytes: 4096 })) }
        : fn,
  });
  expect([machine.memory.isRam(0x77ef_ffff), machine.memory.isRam(0x77f0_0000)]).toEqual([true, false]);
});
