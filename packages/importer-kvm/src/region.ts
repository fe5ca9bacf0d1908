/** A memory region as userspace asks for it, after the checks that need nothing but the request. Linux 7.3: `kvm_main.c`. */
import { hex, PAGE_SHIFT, PAGE_SIZE } from "@dma-buf/core";
import type { Gfn } from "./memslot.js";
import { needBigints, refuse } from "./refuse.js";
import { isU32, isU64, KVM_MEM, type UserMemoryRegion } from "./uapi.js";

/** What a VM is, as far as its memory slots ask, and whose rules a slot over a dma-buf has. */
export interface RegionRules {
  /** Frames can be private or shared. Linux: `kvm_arch_has_private_mem()`. */
  readonly privateMemory: boolean;
  /** Width of a guest-physical address: what the second stage can map. @defaultValue 52 */
  readonly guestPhysBits?: number;
  /** The rules of the RFC of January 2025, patch 06: private-memory VMs alone, whole buffers. @defaultValue false */
  readonly asPosted?: boolean;
}

/** A request whose numbers are in order. Frames and pages are exact Numbers, whatever the 64 bits were. */
export interface CheckedRegion {
  readonly id: number;
  readonly addressSpace: number;
  readonly flags: number;
  readonly gfn: Gfn;
  /** 0: delete. */
  readonly pages: number;
  readonly hva: number;
  /** Into the file or buffer, pages. */
  readonly offsetPages: number;
  /** The fd of the file or buffer. */
  readonly fd: number;
}

export const OP_REGION = "KVM_SET_USER_MEMORY_REGION2";
/** Ids below are userspace's; x86 keeps three more for itself. Linux: `KVM_USER_MEM_SLOTS`. */
export const USER_MEM_SLOTS = 32_764;
/** Linux: `KVM_MEM_MAX_NR_PAGES`. */
const MAX_PAGES = 2n ** 31n - 1n;
/** Where a process's addresses end with four levels of page tables. Linux: `TASK_SIZE_MAX`. */
const TASK_SIZE_MAX = 0x7fff_ffff_f000n;
const PAGE = BigInt(PAGE_SIZE);
const SHIFT = BigInt(PAGE_SHIFT);
/** What the older ioctl knows. */
const V1_FLAGS = KVM_MEM.LOG_DIRTY_PAGES | KVM_MEM.READONLY;
/** Flags under which `guestMemfd` is a fd, and the slot never changes. */
export const FD_BACKED: number = KVM_MEM.GUEST_MEMFD | KVM_MEM.VFIO_DMABUF;

/** Rows 2 to 9 of the order of checks, in that order. @throws DmaBufError `EINVAL` at stage `memslot` · RangeError `version` */
export function checkRegion(region: UserMemoryRegion, version: 1 | 2, rules: RegionRules): CheckedRegion {
  const { slot, flags, guestPhysAddr: gpa, memorySize: size, userspaceAddr: hva, guestMemfd: fd = 0 } = region;
  const offset = region.guestMemfdOffset ?? 0n;
  if (version !== 1 && version !== 2)
    throw new RangeError(`version ${String(version)} of the ioctl: there are 1 and 2`);
  needBigints(OP_REGION, { guestPhysAddr: gpa, memorySize: size, userspaceAddr: hva, guestMemfdOffset: offset });
  checkWidths({ slot, flags, guest_memfd: fd }, { gpa, size, hva, offset });
  const id = slot % 0x1_0000;
  const addressSpace = Math.floor(slot / 0x1_0000);
  if (version === 1 && (flags & ~V1_FLAGS) !== 0)
    invalid(`flags ${hex(flags)} are not of this ioctl: use KVM_SET_USER_MEMORY_REGION2`, { flags });
  if (id >= USER_MEM_SLOTS) invalid(`slot ${id} is not userspace's: use one below ${USER_MEM_SLOTS}`, { slot: id });
  checkFlags(flags, rules);
  checkAligned({ memory_size: size, guest_phys_addr: gpa, userspace_addr: hva });
  if (hva + size > TASK_SIZE_MAX)
    invalid(`userspace_addr ${show(hva)} + ${show(size)} is no range of a process: map it and give its address`, {
      userspaceAddr: hva,
    });
  if ((flags & FD_BACKED) !== 0) checkOffset(offset, size);
  checkPlace({ addressSpace, gpa, size }, rules);
  return {
    id,
    addressSpace,
    flags,
    gfn: Number(gpa >> SHIFT),
    pages: Number(size >> SHIFT),
    hva: Number(hva),
    offsetPages: Number(offset >> SHIFT),
    fd,
  };
}

/** Row 17, what only the architecture knows. Nobody tracks writes here. @throws DmaBufError `EINVAL` at stage `memslot` */
export function checkArch({ gfn, pages }: CheckedRegion, { guestPhysBits = 52 }: RegionRules): void {
  if (gfn + pages > 2 ** (guestPhysBits - PAGE_SHIFT))
    invalid(`frame ${hex(gfn + pages - 1)} is beyond the guest's ${guestPhysBits} address bits: place it lower`, {
      gfn,
      pages,
      guestPhysBits,
    });
}

/** Before all rows: could it have come out of the structure's bytes? */
function checkWidths(u32s: Record<string, number>, u64s: Record<string, bigint>): void {
  for (const [name, value] of Object.entries(u32s))
    if (!isU32(value)) invalid(`${name} ${value} is no u32: give a whole number below 2^32`, { [name]: value });
  for (const [name, value] of Object.entries(u64s))
    if (!isU64(value)) invalid(`${name} ${value} is no u64: give one from 0 on, below 2^64`, { [name]: value });
}

/**
 * Row 4. The RFC takes its flag of private-memory VMs alone. A reading: `READONLY` goes with a dma-buf, as nothing but the
 * posted check speaks against it; a log of dirty pages does not, as a device's memory is not copied page by page.
 */
function checkFlags(flags: number, { privateMemory, asPosted = false }: RegionRules): void {
  const { LOG_DIRTY_PAGES, READONLY, GUEST_MEMFD, VFIO_DMABUF } = KVM_MEM;
  const has = (flag: number): boolean => (flags & flag) !== 0;
  const known = LOG_DIRTY_PAGES | READONLY | GUEST_MEMFD | VFIO_DMABUF;
  if ((flags & ~known) !== 0) invalid(`flags ${hex(flags)} have bits that are no flag: clear them`, { flags });
  if (has(VFIO_DMABUF) && asPosted && !privateMemory)
    invalid("the posted flag needs a VM with private memory", { flags });
  if (has(GUEST_MEMFD) && has(VFIO_DMABUF))
    invalid("a slot is over a guest_memfd or over a dma-buf: give one of the two flags", { flags });
  if (has(FD_BACKED) && has(LOG_DIRTY_PAGES))
    invalid("dirty pages of a slot over a fd are not logged: clear LOG_DIRTY_PAGES", { flags });
  if (has(READONLY) && (has(GUEST_MEMFD) || (has(VFIO_DMABUF) && asPosted)))
    invalid("a slot over this fd is writable: clear READONLY", { flags });
}

/** Row 6. */
function checkOffset(offset: bigint, size: bigint): void {
  checkAligned({ guest_memfd_offset: offset });
  if (wraps(offset, size))
    invalid(`guest_memfd_offset ${show(offset)} + ${show(size)} wraps: lower the offset`, { offset, size });
}

/** Rows 7 to 9. System management mode has an address space of its own, but for a VM with private memory. */
function checkPlace(
  { addressSpace, gpa, size }: { addressSpace: number; gpa: bigint; size: bigint },
  { privateMemory }: RegionRules,
): void {
  const spaces = privateMemory ? 1 : 2;
  if (addressSpace >= spaces)
    invalid(`address space ${addressSpace}: this VM has ${spaces}, counted from 0`, { addressSpace });
  if (wraps(gpa, size)) invalid(`guest_phys_addr ${show(gpa)} + ${show(size)} wraps: place it lower`, { gpa, size });
  if (size >> SHIFT > MAX_PAGES)
    invalid(`${size >> SHIFT} pages: a slot has at most ${MAX_PAGES}, make several`, { size });
}

function checkAligned(values: Record<string, bigint>): void {
  for (const [name, value] of Object.entries(values))
    if (value % PAGE !== 0n)
      invalid(`${name} ${show(value)} is no multiple of ${PAGE_SIZE}: align it`, { [name]: value });
}

function wraps(from: bigint, size: bigint): boolean {
  return from + size >= 2n ** 64n;
}

function show(value: bigint): string {
  return `0x${value.toString(16)}`;
}

export function invalid(message: string, values: Record<string, unknown>): never {
  return refuse("EINVAL", OP_REGION, message, values);
}
