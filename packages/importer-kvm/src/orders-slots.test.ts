/** Every order of a guest's access against the end of its slot: the access is through, or finds no slot; nobody asks for what is gone. */
import { Framework, pfnOf, type Scheduler } from "@dma-buf/core";
import { GuestVm, Machine } from "@dma-buf/machine";
import { t1 } from "@dma-buf/pci";
import { expect, it } from "vitest";
import { type Raced, together } from "./testing/race.js";
import { bytes, contractOf, GPA, PAGE, RAM, type Serving, VARIANTS } from "./testing/rig.js";
import { NOTHING, searched } from "./testing/search.js";
import { telling } from "./testing/telling.js";

const { topology } = t1();

function againstDelete(scheduler: Scheduler, id: Serving): Raced {
  const fw = new Framework({ contract: contractOf(id), scheduler, trace: false });
  const machine = new Machine({ topology, trace: fw.trace, iommu: "off", rootComplexForwards: true, tablesMax: 6 });
  const vm = new GuestVm(machine, "guest", false);
  const kvm = VARIANTS[id].kvm()(fw, vm);
  const buf = telling(fw, { pages: 1, frame: () => ({ pfn: pfnOf(RAM), maxOrder: 0 }), cache: "wb" });
  const slot = scheduler.complete("before", kvm.setMemslot({ gpa: GPA, sizeBytes: PAGE, buf, offset: 0 }));
  const wrong = together(scheduler, [kvm.write(GPA, bytes(1)), kvm.removeMemslot(slot)]);
  const leaves = Array.from(vm.table.leaves(), (leaf) => `a leaf at ${leaf.va} is left`);
  const attached = buf.attachments.map((at) => `${at.importerName} is attached`);
  if (buf.refs !== 1) attached.push(`${buf.refs} references`);
  return { corrupt: leaves, wrong: [...wrong, ...attached, ...fw.findings.map((f) => f.message)] };
}

it.each([
  ["vma", 340],
  ["pfn", 232],
  ["pfn-locked", 145],
  ["annotated-address", 307],
] as const)("%s: fault × delete: %i orders", (id, orders) => {
  const { count, worst } = searched((scheduler) => againstDelete(scheduler, id));
  expect([count, worst]).toEqual([`${orders} orders, exhausted`, NOTHING]);
});
