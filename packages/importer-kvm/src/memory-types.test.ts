/** Device memory that is cacheable: which memory type the second stage's leaf gets, S58. */
import { armStage2, ept, type Format } from "@dma-buf/page-table";
import { expect, it } from "vitest";
import { bytes, GIB, GPA, PAGE, rig, type VariantId } from "./testing/rig.js";

it.each<[VariantId, string, Format, boolean, string]>([
  ["vma", "the best", ept, false, "wb"],
  ["vma", "as merged", ept, true, "uc"],
  ["vma", "as merged", armStage2, true, "wb"],
  ["pfn", "which says nothing of it", ept, false, "uc"],
  ["pfn-locked", "which says nothing of it", armStage2, false, "uc"],
  ["annotated-address", "whose addresses say it", ept, false, "wb"],
])("%s, %s, %#", (id, _name, format, asPosted, expected) => {
  const r = rig(id, { guest: { format }, kvm: { asPosted }, vfio: { memory: { cache: "wb", snoop: true } } });
  r.run(r.kvm.setMemslot({ gpa: GPA, sizeBytes: GIB, buf: r.export(), offset: 0 }));
  expect(r.run(r.kvm.write(GPA, bytes(1))).kind).toBe("done");
  expect([...r.vm.table.leaves(GPA, PAGE)].map((leaf) => leaf.protection.cache)).toEqual([expected]);
});
