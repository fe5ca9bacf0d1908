/** What a fault and `KVM_PRE_FAULT_MEMORY` meet while a slot changes, and what a slot of 1 TiB costs. */
import { refusal } from "@dma-buf/config/refusal";
import { addr, type DmaBuf, type DmaBufError, type Gpa, type Op, Scheduler } from "@dma-buf/core";
import { expect, it } from "vitest";
import { MemoryAttributes } from "./attributes.js";
import { BufferSlots } from "./buffer-slots.js";
import { lpageAllowed } from "./lpage-info.js";
import { ProcessFiles } from "./process-files.js";
import { USER_MEM_SLOTS } from "./region.js";
import { SlotTable } from "./slots.js";
import { regionOf } from "./testing/arguments.js";
import { bytes, endOf, PAGE, RAM, rig } from "./testing/rig.js";
import type { UserMemoryRegion } from "./uapi.js";

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
  ["a size below 0", { size: -4096n }],
  ["gpa below 0", { gpa: -4096n }],
])("EINVAL: PRE_FAULT_MEMORY, %s", (_name, change) => {
  const { kvm, run } = rig("pfn");
  const range = { gpa: BigInt(AT), size: 4096n, flags: 0n, ...change };
  expect(refusal(() => run(kvm.preFaultMemory(range)))).toBe("EINVAL@vcpu-run");
});

it("ENOENT: PRE_FAULT_MEMORY where no Number is exact; frame 0 is not meant", () => {
  const r = rig("pfn");
  r.kvm.process.mapRam(HVA, RAM, 16 * PAGE);
  r.run(r.kvm.setUserMemoryRegion(regionOf({ guestPhysAddr: 0n })));
  for (const gpa of [2n ** 53n, 2n ** 63n])
    expect(refusal(() => r.run(r.kvm.preFaultMemory({ gpa, size: 4096n, flags: 0n })))).toBe("ENOENT@vcpu-run");
});

it("EINVAL: a slot that the second stage cannot map to its end", () => {
  const r = rig("pfn");
  r.kvm.process.mapRam(HVA, RAM, 16 * PAGE);
  const end = 2n ** BigInt(r.vm.table.format.vaBits);
  const at = (guestPhysAddr: bigint): string =>
    refusal(() => r.run(r.kvm.setUserMemoryRegion(regionOf({ guestPhysAddr }))));
  expect([at(end), at(end - 0xf000n), at(end - 0x1_0000n)]).toEqual(["EINVAL@memslot", "EINVAL@memslot", "ok"]);
  expect(r.run(r.kvm.read(addr<Gpa>(Number(end) - PAGE), 8)).kind).toBe("done");
});

it.each([
  ["gpa", NaN],
  ["gpa", 0.5],
  ["gpa", -PAGE],
  ["gpa", 2 ** 64],
  ["sizeBytes", NaN],
  ["sizeBytes", -PAGE],
  ["sizeBytes", Infinity],
  ["offset", NaN],
  ["offset", -PAGE],
  ["offset", 2 ** 64],
  ["flags", NaN],
  ["flags", 2 ** 32],
])("EINVAL: setMemslot, %s %d; nothing is left", (field, value) => {
  for (const id of ["pfn", "vma"] as const) {
    const r = rig(id);
    const buf = r.export(16 * PAGE);
    const before = [buf.refs, r.fw.ledger, r.machine.resources.read()];
    const slot = { gpa: AT, sizeBytes: 16 * PAGE, buf, offset: 0, [field]: value };
    expect(refusal(() => r.run(r.kvm.setMemslot(slot)))).toMatch(/^EINVAL@(memslot|mmap)$/);
    expect([buf.refs, r.fw.ledger, r.machine.resources.read()]).toEqual(before);
  }
});

it("ids are used again: slots can come and go for ever", () => {
  const slots = new SlotTable();
  const ids: number[] = [];
  const set = function* ({ slot }: UserMemoryRegion): Op<void> {
    ids.push(slot);
  };
  const process = rig("pfn").kvm.process;
  const bufferSlots = new BufferSlots({ over: "buffer", slots, process, files: new ProcessFiles(), set });
  const scheduler = new Scheduler();
  const memslot = { gpa: AT, sizeBytes: PAGE, buf: {} as DmaBuf, offset: 0 };
  for (let n = 0; n <= USER_MEM_SLOTS; n++) scheduler.complete("vmm", bufferSlots.add(memslot));
  expect([ids.length, ids.at(-2), ids.at(-1)]).toEqual([USER_MEM_SLOTS + 1, USER_MEM_SLOTS - 1, 0]);
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

it("no fd stays: not of the buffer of a slot, nor of a file when the process has ended", () => {
  const r = rig("pfn", { privateMemory: true, guestPages: 1 });
  const fd = r.kvm.createGuestMemfd({ size: 4096n, flags: 0n });
  r.run(r.kvm.setMemslot({ gpa: AT, sizeBytes: PAGE, buf: r.export(PAGE), offset: 0 }));
  expect([r.kvm.files.get(fd)?.kind, r.kvm.files.get(fd + 1)]).toEqual(["guest-memfd", null]);
  r.run(r.kvm.destroy());
  expect(r.kvm.files.get(fd)).toBeNull();
});

it("ENOTTY: a guest_memfd, and the host has no memory for one", () => {
  const { kvm } = rig("pfn", { privateMemory: true });
  expect(refusal(() => kvm.createGuestMemfd({ size: 4096n, flags: 0n }))).toBe("ENOTTY@memslot");
});

it("EBADF: a fd that is not open is closed, never or not any more", () => {
  const r = rig("pfn", { privateMemory: true, guestPages: 1 });
  const fd = r.kvm.createGuestMemfd({ size: 4096n, flags: 0n });
  const close = (which: number): string => refusal(() => r.run(r.kvm.files.close(which)));
  expect([close(fd + 1), close(fd), close(fd)]).toEqual(["EBADF@fd", "ok", "EBADF@fd"]);
});

it("EEXIST: something is mapped there, or is being mapped", () => {
  const r = rig("vma");
  const buf = r.export(4 * PAGE);
  const mapped = r.kvm.process.mapBuffer(HVA, buf, 0, 4 * PAGE);
  mapped.next();
  const there = (hva: number): string => refusal(() => r.kvm.process.mapRam(hva, RAM, PAGE));
  expect(there(HVA + 3 * PAGE)).toBe("EEXIST@mmap");
  while (!mapped.next().done);
  expect([there(HVA), there(HVA + 4 * PAGE), there(HVA - PAGE)]).toEqual(["EEXIST@mmap", "ok", "ok"]);
  const { refs } = buf;
  expect(refusal(() => r.run(r.kvm.process.mapBuffer(HVA, buf, 0, PAGE)))).toBe("EEXIST@mmap");
  expect(buf.refs).toBe(refs);
});
