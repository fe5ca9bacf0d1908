import { addr, type BusAddr, type DmaAddr, Scheduler, Trace } from "@dma-buf/core";
import { t2 } from "@dma-buf/pci";
import { expect, it } from "vitest";
import { Machine } from "./machine.js";
import { BAR, bytes, RAM } from "./testing.js";

const OFFSET = 0x10_0000_0000;

it.each(["off", "identity"] as const)("mode %s: a BAR has its number on the bus, and RAM the CPU's", (iommu) => {
  const { topology, importers } = t2({ busOffsetBytes: OFFSET });
  const scheduler = new Scheduler();
  const machine = new Machine({ topology, trace: new Trace(scheduler), iommu, rootComplexForwards: true });
  const nic = machine.device(importers[0] as string);
  const write = (at: DmaAddr | BusAddr, value: number) => scheduler.complete("test", nic.write(at, bytes(value))).kind;
  expect(write(addr<BusAddr>(BAR - OFFSET), 1)).toBe("done");
  expect(write(addr<DmaAddr>(RAM), 2)).toBe("done");
  expect([machine.memory.read(BAR, 8), machine.memory.read(RAM, 8)]).toEqual([bytes(1), bytes(2)]);
});
