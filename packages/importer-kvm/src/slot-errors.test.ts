/** What a fault and `KVM_PRE_FAULT_MEMORY` meet while a slot changes, and what a slot of 1 TiB costs. */
import { refusal } from "@dma-buf/config/refusal";
import { addr, type DmaBufError, type Gpa, Scheduler } from "@dma-buf/core";
import { expect, it } from "vitest";
import { MemoryAttributes } from "./attributes.js";
import { lpageAllowed } from "./lpage-info.js";
import { regionOf } from "./testing/arguments.js";
import { bytes, endOf, PAGE, RAM, rig } from "./testing/rig.js";

const AT = addr<Gpa>(0x10_0000);
const HVA = 0x400_0000;

/** A deletion that stands in the middle, between its mark and its end. */
function deleting() {
  const scheduler = new Scheduler();
  const r = rig("pfn", { framework: { scheduler } });
  r.kvm.process.mapRam(HVA, RAM, 16 * PAGE);
  r.run(r.kvm.setUserMemoryRegion(regionOf()));
  r.run(r.kvm.write(AT, bytes(1)));
  const op = r.kvm.setUserMemoryRegion(regionOf({ memorySize: 0n }));
  for (let at = op.next(); !at.done && at.value.site !== "kvm.mmu_lock"; at = op.next());
  return { r, scheduler, op };
}

it("EAGAIN: a page is wanted in advance, and its slot is on its way out", () => {
  const { r, op } = deleting();
  const range = { gpa: BigInt(AT), size: 4096n, flags: 0n };
  expect(refusal(() => r.run(r.kvm.preFaultMemory(range)))).toBe("EAGAIN@vcpu-run");
  for (let at = op.next(); !at.done; at = op.next());
  expect(refusal(() => r.run(r.kvm.preFaultMemory(range)))).toBe("ENOENT@vcpu-run");
});

it("a vCPU that faults then waits, and finds no slot", () => {
  const { r, scheduler, op } = deleting();
  const vcpu = scheduler.spawn("vCPU", r.kvm.write(addr<Gpa>(AT + PAGE), bytes(2)));
  scheduler.spawn("vmm", op);
  expect(scheduler.run()).toEqual({ kind: "done" });
  expect(endOf(vcpu.result as never)).toBe("mmio");
  expect(r.at(RAM + PAGE)).toEqual(bytes(0));
});

it.each<[string, Partial<Record<"gpa" | "size" | "flags", bigint>>]>([
  ["flags", { flags: 1n }],
  ["gpa unaligned", { gpa: 1n }],
  ["size unaligned", { size: 1n }],
  ["empty", { size: 0n }],
  ["it wraps", { gpa: 2n ** 64n - 4096n }],
])("EINVAL: PRE_FAULT_MEMORY, %s", (_name, change) => {
  const { kvm, run } = rig("pfn");
  const range = { gpa: BigInt(AT), size: 4096n, flags: 0n, ...change };
  expect(refusal(() => run(kvm.preFaultMemory(range)))).toBe("EINVAL@vcpu-run");
});

it("ENOMEM: an allocation fails, of the slot or of the attributes, and the guest goes on", () => {
  let failing = "";
  const r = rig("pfn", { privateMemory: true, framework: { allocFails: (op) => op === failing } });
  r.kvm.process.mapRam(HVA, RAM, 16 * PAGE);
  r.run(r.kvm.setUserMemoryRegion(regionOf()));
  failing = "kvm_alloc_memslot";
  expect(refusal(() => r.run(r.kvm.setUserMemoryRegion(regionOf({ guestPhysAddr: 0n }))))).toBe("ENOMEM@memslot");
  failing = "KVM_SET_MEMORY_ATTRIBUTES";
  const request = { address: BigInt(AT), size: 4096n, attributes: 8n, flags: 0n };
  expect(refusal(() => r.run(r.kvm.setMemoryAttributes(request)))).toBe("ENOMEM@memslot");
  expect(r.run(r.kvm.write(AT, bytes(1)))).toMatchObject({ kind: "done" });
});

it("what a refusal says: the value, the rule, the remedy", () => {
  const r = rig("pfn");
  let said: DmaBufError | null = null;
  try {
    r.run(r.kvm.setUserMemoryRegion(regionOf({ guestPhysAddr: 0x10_0800n })));
  } catch (error) {
    said = error as DmaBufError;
  }
  expect(said).toMatchObject({ code: "EINVAL", errno: -22, op: "KVM_SET_USER_MEMORY_REGION2", stage: "memslot" });
  expect(said?.message).toMatch(/guest_phys_addr 0x100800 is no multiple of 4096: align it/);
});

it("1 TiB: the slot and its private memory are two numbers each, whatever frame is asked for", () => {
  const attributes = new MemoryAttributes();
  attributes.store({ start: 0, end: 2 ** 28, isPrivate: true });
  expect(attributes.privateRanges).toHaveLength(1);
  const slot = { gpa: addr<Gpa>(0), sizeBytes: 2 ** 40, hva: 0 };
  expect([1, 2, 3].map((level) => lpageAllowed(slot, 2 ** 28 - 1, level as 1 | 2 | 3, attributes))).toEqual([
    true,
    true,
    true,
  ]);
});
