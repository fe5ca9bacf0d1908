/** The checks of `KVM_SET_USER_MEMORY_REGION2` for a slot that is backed by a dma-buf. Linux 7.3: kvm_main.c; RFC patch 06. */
import { type DmaBuf, DmaBufError, type ErrnoName, type Gpa, hex, isPageAligned, PAGE_SIZE } from "@dma-buf/core";

export interface Memslot {
  readonly gpa: Gpa;
  /** Bytes. */
  readonly sizeBytes: number;
  readonly buf: DmaBuf;
  /** Where in the buffer the slot begins, bytes. */
  readonly offset: number;
}

/** The extra rules of the posted flag: private-memory VMs only, and a slot is a whole buffer. */
export interface PostedRules {
  readonly privateMemory: boolean;
}

/** @throws DmaBufError at stage `memslot`. */
export function checkMemslot(slot: Memslot, others: readonly Memslot[], posted: PostedRules | null): void {
  const { gpa, sizeBytes, offset, buf } = slot;
  for (const [name, value] of Object.entries({ gpa, sizeBytes, offset }))
    if (!isPageAligned(value)) refuse("EINVAL", `${name} ${hex(value)} is not a multiple of ${PAGE_SIZE}: align it`);
  if (sizeBytes === 0) refuse("EINVAL", "size is 0: a slot has at least one page");
  if (posted && !posted.privateMemory) refuse("EINVAL", "the posted flag needs a VM with private memory");
  if (posted && (offset !== 0 || sizeBytes !== buf.sizeBytes))
    refuse(
      "EINVAL",
      `offset ${hex(offset)} and size ${hex(sizeBytes)}: the posted slot is the whole buffer of ${hex(buf.sizeBytes)} bytes`,
    );
  if (offset + sizeBytes > buf.sizeBytes)
    refuse(
      "EINVAL",
      `offset ${hex(offset)} + size ${hex(sizeBytes)} is beyond the buffer of ${hex(buf.sizeBytes)} bytes`,
    );
  const other = others.find((o) => gpa < o.gpa + o.sizeBytes && o.gpa < gpa + sizeBytes);
  if (other) refuse("EEXIST", `${hex(gpa)} overlaps the slot at ${hex(other.gpa)}: choose another guest address`);
}

function refuse(code: ErrnoName, message: string): never {
  throw new DmaBufError(code, { op: "KVM_SET_USER_MEMORY_REGION2", stage: "memslot", message });
}
