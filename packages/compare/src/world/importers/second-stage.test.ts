/** What is marked of a second stage: leaves that could be larger, memory that could be cached. */
import { addr, Framework, type Gpa, pfn, type PhysAddr, Scheduler } from "@dma-buf/core";
import { GuestVm, Machine } from "@dma-buf/machine";
import { t2 } from "@dma-buf/pci";
import { expect, it } from "vitest";
import { Judge } from "../../judge.js";
import { examineLeaves } from "./second-stage.js";

const BAR = 0x40_0000_0000;
const GPA = addr<Gpa>(0x1_0000_0000);
const KIB = 1024;
const MIB = 1024 * KIB;

/** A buffer of the BAR from `offset` on, mapped with leaves of `leafBytes` and read once. */
function examined(offset: number, sizeBytes: number, leafBytes: number, cache: "uc" | "wb" = "uc") {
  const scheduler = new Scheduler();
  const fw = new Framework({ contract: pfn, scheduler });
  const { topology, exporter } = t2();
  const machine = new Machine({ topology, trace: fw.trace, iommu: "off", rootComplexForwards: true });
  const judge = new Judge(fw, machine, { exporter, devices: [] });
  if (cache === "wb") machine.attributes.declare({ base: BAR, sizeBytes: 4 * MIB, type: "wb" });
  const vm = new GuestVm(machine, "VM1", false);
  vm.table.map(GPA, addr<PhysAddr>(BAR + offset), leafBytes, { read: true, write: true, cache: "uc" });
  scheduler.complete("test", vm.read(GPA, 8));
  const content = { sizeBytes, ranges: () => [{ base: BAR + offset, sizeBytes }], read: () => new Uint8Array(0) };
  examineLeaves({ judge, machine }, vm, content, { gpa: GPA, offset: 0, bytes: 4 * KIB });
  return { verdict: judge.verdict.verdict, text: judge.rule.text };
}

it.each([
  ["2 MiB fit, and are there", 0, 4 * MIB, 2 * MIB, "OK"],
  ["2 MiB fit, and pages are there", 0, 4 * MIB, 4 * KIB, "DEGRADED"],
  ["the buffer is shorter than 2 MiB", 0, MIB, 4 * KIB, "OK"],
  ["guest and host are not congruent", 4 * KIB, 4 * MIB, 4 * KIB, "OK"],
])("%s", (_name, offset, sizeBytes, leafBytes, expected) => {
  expect(examined(offset, sizeBytes, leafBytes).verdict).toBe(expected);
});

it("memory that may be cached, and is not", () => {
  expect(examined(0, 4 * MIB, 2 * MIB, "wb")).toEqual({
    verdict: "DEGRADED",
    text: "VM1 has memory as uc that its owner wants wb: safe, and slow",
  });
});
