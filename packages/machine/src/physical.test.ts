import { addr, type PhysAddr } from "@dma-buf/core";
import { expect, it } from "vitest";
import { Cpu } from "./cpu.js";
import { bytes, dmaOf, RAM, rig } from "./testing.js";

const VA = 0x1000;

/** Where the entry of `VA` lies in the CPU's page table. */
function leafOf(cpu: Cpu): PhysAddr {
  return cpu.table.translate(VA, "read").steps.at(-1)?.entryPhys as PhysAddr;
}

it("a page-table entry reads as bytes, and a device that writes there changes what the walker reads", () => {
  const { machine, nic, run } = rig();
  const cpu = new Cpu(machine, "CPU 0");
  cpu.map(VA, RAM, 4096, { cache: "wb" });
  const at = leafOf(cpu);
  const entry = machine.memory.readEntry(at);
  expect(entry).not.toBe(0n);
  expect(new DataView(machine.memory.read(at, 8).buffer).getBigUint64(0, true)).toBe(entry);
  expect(run(nic.write(dmaOf(at), bytes(0))).kind).toBe("done");
  expect(machine.memory.readEntry(at)).toBe(0n);
  expect(run(cpu.read(VA, 8)).kind).toBe("page-fault");
});

it("bytes beside the page tables are apart from them", () => {
  const { memory } = rig().machine;
  const { basePhys, sizeBytes } = memory.tables;
  const ends = [basePhys - 8, basePhys + sizeBytes - 8];
  for (const at of ends) memory.write(at, bytes(7, 16));
  for (const at of ends) expect(memory.read(at, 16)).toEqual(bytes(7, 16));
  expect(memory.readEntry(basePhys)).toBe(0x0707_0707_0707_0707n);
  expect(memory.readEntry(addr<PhysAddr>(basePhys + 8))).toBe(0n);
});
