/** The ioctls of a VM that are about its memory, decoded from a process's memory. Linux: `include/uapi/linux/kvm.h`. */
import { refuse } from "./refuse.js";

/**
 * The commands.
 * @example
 * KVM_IOCTL.SET_USER_MEMORY_REGION2.toString(16); // "40a0ae49"
 */
export const KVM_IOCTL = {
  SET_USER_MEMORY_REGION: 0x4020_ae46,
  SET_USER_MEMORY_REGION2: 0x40a0_ae49,
  SET_MEMORY_ATTRIBUTES: 0x4020_aed2,
  CREATE_GUEST_MEMFD: 0xc040_aed4,
  PRE_FAULT_MEMORY: 0xc040_aed5,
} as const;

/**
 * Flags of a memory slot. `VFIO_DMABUF` is the RFC's of January 2025; `GMEM_ONLY` is the kernel's own, no process can
 * set it.
 * @example
 * KVM_MEM.GUEST_MEMFD; // 4
 */
export const KVM_MEM = {
  LOG_DIRTY_PAGES: 1,
  READONLY: 2,
  GUEST_MEMFD: 4,
  VFIO_DMABUF: 8,
  GMEM_ONLY: 0x2_0000,
} as const;

/**
 * Memory attributes of a guest frame.
 * @example
 * KVM_MEMORY_ATTRIBUTE.PRIVATE; // 8n
 */
export const KVM_MEMORY_ATTRIBUTE: { readonly PRIVATE: bigint } = { PRIVATE: 8n };

/**
 * Flags of a guest_memfd.
 * @example
 * GUEST_MEMFD_FLAG.INIT_SHARED; // 2n
 */
export const GUEST_MEMFD_FLAG: { readonly MMAP: bigint; readonly INIT_SHARED: bigint } = { MMAP: 1n, INIT_SHARED: 2n };

/** `struct kvm_userspace_memory_region2`, and the older one, which ends before `guestMemfdOffset`. */
export interface UserMemoryRegion {
  /** Low 16 bits: id; high 16 bits: address space. */
  readonly slot: number;
  /** A combination of {@link KVM_MEM}. */
  readonly flags: number;
  readonly guestPhysAddr: bigint;
  /** Bytes. 0 deletes the slot. */
  readonly memorySize: bigint;
  readonly userspaceAddr: bigint;
  /** Bytes into the file. @defaultValue 0n */
  readonly guestMemfdOffset?: bigint;
  /** The fd of a guest_memfd, or with `VFIO_DMABUF` of a dma-buf. @defaultValue 0 */
  readonly guestMemfd?: number;
}

/** `struct kvm_memory_attributes`. */
export interface MemoryAttributesRequest {
  /** Guest-physical. */
  readonly address: bigint;
  /** Bytes. */
  readonly size: bigint;
  /** A combination of {@link KVM_MEMORY_ATTRIBUTE}. */
  readonly attributes: bigint;
  readonly flags: bigint;
}

/** `struct kvm_create_guest_memfd`. */
export interface CreateGuestMemfd {
  /** Bytes. */
  readonly size: bigint;
  /** A combination of {@link GUEST_MEMFD_FLAG}. */
  readonly flags: bigint;
}

/** `struct kvm_pre_fault_memory`. */
export interface PreFaultMemory {
  readonly gpa: bigint;
  /** Bytes. */
  readonly size: bigint;
  readonly flags: bigint;
}

/** A command with its argument. The older region ioctl may use fewer flags, so it is told apart. */
export type KvmRequest =
  | { readonly kind: "region"; readonly version: 1 | 2; readonly region: UserMemoryRegion }
  | { readonly kind: "attributes"; readonly request: MemoryAttributesRequest }
  | { readonly kind: "create-guest-memfd"; readonly request: CreateGuestMemfd }
  | { readonly kind: "pre-fault"; readonly request: PreFaultMemory };

/** Decoded bytes always are; a caller's bigint may be negative or too large. */
export function isU64(value: bigint): boolean {
  return value === BigInt.asUintN(64, value);
}

/** As {@link isU64}; NaN and fractions are none either. */
export function isU32(value: number): boolean {
  return value === value >>> 0;
}

/** The size of a command's argument stands in bits 16 to 29 of its number. */
function sizeOf(command: number): number {
  return (command >>> 16) & 0x3fff;
}

/**
 * Reads the argument of `command`.
 * @param user what lies at the pointer, as far as it can be read; `null`: nothing can
 * @throws DmaBufError at stage `memslot`: `ENOTTY` none of {@link KVM_IOCTL} · `EFAULT` the argument cannot be read to its
 * end; the older region ioctl reads 32 bytes of the 160
 * @example
 * decode(KVM_IOCTL.SET_USER_MEMORY_REGION, new Uint8Array(32)).kind; // "region"
 */
export function decode(command: number, user: Uint8Array | null): KvmRequest {
  const known = Object.entries(KVM_IOCTL).find(([, nr]) => nr === command);
  if (!known) return refuse("ENOTTY", "KVM", `command ${command} is none of a VM's memory: use KVM_IOCTL`, { command });
  const memory = user ?? new Uint8Array(0);
  const sizeBytes = sizeOf(command);
  if (memory.length < sizeBytes)
    refuse(
      "EFAULT",
      `KVM_${known[0]}`,
      `${sizeBytes} bytes cannot be read, ${memory.length} can: give a valid pointer`,
      {
        sizeBytes,
        readable: memory.length,
      },
    );
  return decoded(command, new DataView(memory.buffer, memory.byteOffset, sizeBytes));
}

function decoded(command: number, view: DataView): KvmRequest {
  const u64 = (at: number): bigint => view.getBigUint64(at, true);
  switch (command) {
    case KVM_IOCTL.SET_USER_MEMORY_REGION:
      return { kind: "region", version: 1, region: regionAt(view) };
    case KVM_IOCTL.SET_USER_MEMORY_REGION2: {
      const more = { guestMemfdOffset: u64(32), guestMemfd: view.getUint32(40, true) };
      return { kind: "region", version: 2, region: { ...regionAt(view), ...more } };
    }
    case KVM_IOCTL.SET_MEMORY_ATTRIBUTES: {
      const request = { address: u64(0), size: u64(8), attributes: u64(16), flags: u64(24) };
      return { kind: "attributes", request };
    }
    case KVM_IOCTL.CREATE_GUEST_MEMFD:
      return { kind: "create-guest-memfd", request: { size: u64(0), flags: u64(8) } };
    default:
      return { kind: "pre-fault", request: { gpa: u64(0), size: u64(8), flags: u64(16) } };
  }
}

function regionAt(view: DataView): UserMemoryRegion {
  return {
    slot: view.getUint32(0, true),
    flags: view.getUint32(4, true),
    guestPhysAddr: view.getBigUint64(8, true),
    memorySize: view.getBigUint64(16, true),
    userspaceAddr: view.getBigUint64(24, true),
  };
}
