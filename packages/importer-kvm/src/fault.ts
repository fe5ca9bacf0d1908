/**
 * A fault in the second stage, from the exit to the leaf. Linux: `kvm_tdp_page_fault()`, `kvm_mmu_faultin_pfn()`,
 * `kvm_tdp_mmu_page_fault()`, arch/x86/kvm/mmu/mmu.c.
 */
import { type Gpa, type Op, PAGE_SIZE, until } from "@dma-buf/core";
import { type GuestAccessKind, memoryFault, type MmioExit, mmioExit } from "./exits.js";
import { installLeaf } from "./install.js";
import type { Gfn, MemorySlot } from "./memslot.js";
import { refuse } from "./refuse.js";
import { KVM_MEM } from "./uapi.js";
import type { Vm } from "./vm.js";

/** What a vCPU wanted, and in which view. */
export interface Fault {
  readonly gpa: Gpa;
  readonly access: GuestAccessKind;
  readonly isPrivate: boolean;
}

/** `retry`: enter the guest again; it faults again, or not. */
export type FaultEnd = "installed" | "retry" | MmioExit;

/**
 * Sees to a leaf for the fault. Sleeps; call without locks.
 * @throws DmaBufError at stage `vcpu-run`: `EFAULT` the frame is not of the fault's view, or the process has nothing
 * there · `EIO` the exporter refuses · what a guest_memfd refuses with; at stage `map`: `ENOMEM` no page
 * table left
 */
export function* tdpFault(vm: Vm, fault: Fault): Op<FaultEnd> {
  const gfn = Math.floor(fault.gpa / PAGE_SIZE);
  const sequence = vm.mmu.sequence;
  checkView(vm, fault, gfn);
  const slot = vm.slots.byGfn(0, gfn);
  if (!slot) return mmioExit(vm.name, fault.gpa, fault.access, "no memory slot");
  if (slot.invalid) return yield* changed(vm, slot, gfn);
  if (fault.access === "write" && (slot.flags & KVM_MEM.READONLY) !== 0)
    return mmioExit(vm.name, fault.gpa, fault.access, "a write to a read-only slot");
  if (vm.mmu.mustRetry(sequence, gfn)) return yield* again(vm, gfn);
  return (yield* findAndInstall(vm, fault, slot, sequence)) ? "installed" : yield* again(vm, gfn);
}

/** The same for `KVM_PRE_FAULT_MEMORY`: nobody waits for a slot, and nothing is emulated. */
export function* prefault(vm: Vm, gpa: Gpa): Op<FaultEnd> {
  const gfn = Math.floor(gpa / PAGE_SIZE);
  const slot = vm.slots.byGfn(0, gfn);
  const op = "KVM_PRE_FAULT_MEMORY";
  if (!slot) return refuse("ENOENT", op, `no memory slot has frame ${gfn}: make one first`, { gpa }, "vcpu-run");
  if (slot.invalid)
    return refuse("EAGAIN", op, `the slot of frame ${gfn} is being changed: try again`, { gpa }, "vcpu-run");
  return yield* tdpFault(vm, { gpa, access: "read", isPrivate: vm.attributes.isPrivate(gfn) });
}

function* findAndInstall(vm: Vm, fault: Fault, slot: MemorySlot, sequence: number): Op<boolean> {
  const gfn = Math.floor(fault.gpa / PAGE_SIZE);
  const source = vm.sourceOf(slot, fault.isPrivate);
  if (!source) {
    const why = `the slot has no ${fault.isPrivate ? "private" : "shared"} memory: back it with some`;
    throw memoryFault("EFAULT", fault.gpa, fault.isPrivate, why);
  }
  const op = source(slot, gfn, function* (page) {
    // Without the lock: may miss an invalidate, and spares the lock if it does not.
    if (vm.mmu.mustRetry(sequence, gfn)) return false;
    using _lock = yield* vm.mmu.lock.read(`a fault of ${vm.name}`);
    // Exact: from here to the store nobody invalidates.
    if (vm.options.checksUnderLock && vm.mmu.mustRetry(sequence, gfn)) return false;
    yield* installLeaf(vm, fault, slot, page);
    return true;
  });
  return yield* vm.faulting.read(slot, op);
}

function checkView({ attributes }: Vm, { gpa, isPrivate }: Fault, gfn: Gfn): void {
  if (attributes.isPrivate(gfn) === isPrivate) return;
  const view = isPrivate ? "private" : "shared";
  throw memoryFault("EFAULT", gpa, isPrivate, `the frame is not ${view}: set its attributes, and run again`);
}

function* again(vm: Vm, gfn: Gfn): Op<"retry"> {
  yield* vm.mmu.settled(gfn);
  return "retry";
}

/** Whoever faults on a slot that is being deleted or moved tries again until it is gone: here it sleeps for as long. */
function* changed({ slots }: Vm, slot: MemorySlot, gfn: Gfn): Op<"retry"> {
  yield* until(
    "kvm.memslot",
    () => slots.byGfn(0, gfn) !== slot,
    () => `the change of slot ${slot.id}`,
  );
  return "retry";
}
