/** Arguments of a VM's ioctls, as a process writes them. */
import { KVM_MEM, type UserMemoryRegion } from "../uapi.js";

/** A region of 16 pages at 1 MiB, over the process's mapping at 64 MiB, with changes. */
export function regionOf(change: Partial<UserMemoryRegion> = {}): UserMemoryRegion {
  return {
    slot: 0,
    flags: 0,
    guestPhysAddr: 0x10_0000n,
    memorySize: 0x1_0000n,
    userspaceAddr: 0x400_0000n,
    guestMemfdOffset: 0n,
    guestMemfd: 0,
    ...change,
  };
}

/** As {@link regionOf}, over the guest_memfd under fd 5. */
export function gmemRegion(change: Partial<UserMemoryRegion> = {}): UserMemoryRegion {
  return regionOf({ flags: KVM_MEM.GUEST_MEMFD, guestMemfd: 5, ...change });
}

/** As {@link regionOf}, over the dma-buf under fd 6. */
export function dmaBufRegion(change: Partial<UserMemoryRegion> = {}): UserMemoryRegion {
  return regionOf({ flags: KVM_MEM.VFIO_DMABUF, guestMemfd: 6, ...change });
}

/** `struct kvm_userspace_memory_region2`; its first 32 bytes are the older struct. */
export function regionBytes(region: UserMemoryRegion): Uint8Array {
  const view = new DataView(new ArrayBuffer(160));
  view.setUint32(0, region.slot, true);
  view.setUint32(4, region.flags, true);
  view.setBigUint64(8, region.guestPhysAddr, true);
  view.setBigUint64(16, region.memorySize, true);
  view.setBigUint64(24, region.userspaceAddr, true);
  view.setBigUint64(32, region.guestMemfdOffset ?? 0n, true);
  view.setUint32(40, region.guestMemfd ?? 0, true);
  return new Uint8Array(view.buffer);
}

/** Consecutive `u64`, and zeros up to `sizeBytes`. */
export function u64Bytes(values: readonly bigint[], sizeBytes: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(sizeBytes));
  for (const [i, value] of values.entries()) view.setBigUint64(8 * i, value, true);
  return new Uint8Array(view.buffer);
}
