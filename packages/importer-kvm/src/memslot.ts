/** A memory slot: what backs a range of guest-physical addresses. Linux: `struct kvm_memory_slot`. */
import { addr, type DmaBuf, type Gpa, PAGE_SIZE } from "@dma-buf/core";
import type { GuestMemfd } from "./guest-memfd.js";

/** A guest frame number: a guest-physical address in units of a page. Exact as a Number: 64 bits less 12. */
export type Gfn = number;

/** The process's mapping at `hva`, found when a page is wanted: whatever is mapped there then. */
export interface VmaBacking {
  readonly kind: "vma";
}

/** Private pages come from the file, and so do shared ones where the file can be mapped; else those come from `hva`. */
export interface GmemBacking {
  readonly kind: "gmem";
  readonly gmem: GuestMemfd;
  /** Bytes into the file. */
  readonly offset: number;
}

/** Pages come from the buffer. RFC of January 2025: `KVM_MEM_VFIO_DMABUF`. */
export interface DmaBufBacking {
  readonly kind: "dma-buf";
  readonly buf: DmaBuf;
  /** Bytes into the buffer. */
  readonly offset: number;
}

/** What a slot is over. */
export type SlotBacking = VmaBacking | GmemBacking | DmaBufBacking;

/** What a slot is made of. It never changes: a change makes another one in its place. */
export interface MemorySlotInit {
  /** 16 bits. */
  readonly id: number;
  /** 0: all that is not system management mode; 1: that. */
  readonly addressSpace: number;
  /** A combination of `KVM_MEM`. */
  readonly flags: number;
  readonly gpa: Gpa;
  /** Bytes, whole pages. */
  readonly sizeBytes: number;
  /** `userspace_addr`: where the VMM has it mapped, or says it has. */
  readonly hva: number;
  readonly backing: SlotBacking;
}

/** As {@link MemorySlotInit}, in the slot table. Compare by identity: a moved slot is another one. */
export interface MemorySlot extends MemorySlotInit {
  /** Being deleted or moved: who faults on it tries again. Linux: `KVM_MEMSLOT_INVALID`. */
  readonly invalid: boolean;
}

/** First frame of a slot. */
export function baseGfn(slot: Pick<MemorySlotInit, "gpa">): Gfn {
  return slot.gpa / PAGE_SIZE;
}

/** Pages of a slot. */
export function pagesOf(slot: Pick<MemorySlotInit, "sizeBytes">): number {
  return slot.sizeBytes / PAGE_SIZE;
}

/** The first byte of a guest frame. Only for frames below 2^41: Numbers are exact up to there. */
export function gpaOf(gfn: Gfn): Gpa {
  return addr<Gpa>(gfn * PAGE_SIZE);
}

/** Does the slot hold this frame? */
export function holds(slot: Pick<MemorySlotInit, "gpa" | "sizeBytes">, gfn: Gfn): boolean {
  return baseGfn(slot) <= gfn && gfn < baseGfn(slot) + pagesOf(slot);
}
