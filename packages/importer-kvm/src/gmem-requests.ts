/** What userspace asks of a guest_memfd, looked at before anything is done. Linux 7.3: `virt/kvm/guest_memfd.c`, `vfs_fallocate()`. */
import { isPageAligned, PAGE_SIZE } from "@dma-buf/core";
import { needBigints, refuse } from "./refuse.js";
import { type CreateGuestMemfd, GUEST_MEMFD_FLAG, isU64 } from "./uapi.js";

/**
 * Modes of `fallocate()`.
 * @example
 * FALLOC_FL.PUNCH_HOLE | FALLOC_FL.KEEP_SIZE; // 3
 */
export const FALLOC_FL = { KEEP_SIZE: 1, PUNCH_HOLE: 2 } as const;

/**
 * A file cannot begin shared where the VM says which frames are private: it would not know of its pages. Linux:
 * `kvm_arch_supports_gmem_init_shared()`.
 * @throws DmaBufError `EINVAL` at stage `memslot`: flags that this VM has not, a size that is 0, negative or no whole pages
 */
export function checkCreate({ size, flags }: CreateGuestMemfd, privateMemory: boolean): void {
  const op = "KVM_CREATE_GUEST_MEMFD";
  needBigints(op, { size, flags });
  const supported = GUEST_MEMFD_FLAG.MMAP | (privateMemory ? 0n : GUEST_MEMFD_FLAG.INIT_SHARED);
  if ((flags & ~supported) !== 0n)
    refuse("EINVAL", op, `flags ${flags}: this VM knows ${supported}, clear the others`, { flags, supported });
  // A file's size is signed.
  if (!isU64(size) || size === 0n || size >= 2n ** 63n || size % BigInt(PAGE_SIZE) !== 0n)
    refuse("EINVAL", op, `size ${size} is no number of whole pages: give a multiple of ${PAGE_SIZE}`, { size });
}

/** Pages of the file, `[first, end)`; removed, or made. */
export interface CheckedFallocate {
  readonly isPunch: boolean;
  readonly first: number;
  readonly end: number;
}

/** @throws DmaBufError at stage `fd`: `EINVAL` negative, empty or unaligned · `EOPNOTSUPP` a mode that is none of the two */
export function checkFallocate(mode: number, offset: number, sizeBytes: number): CheckedFallocate {
  const op = "fallocate";
  // All files have that looked at first.
  if (!(offset >= 0 && sizeBytes > 0))
    refuse("EINVAL", op, `${offset} + ${sizeBytes} is no range: give at least a page`, { offset, sizeBytes }, "fd");
  const isPunch = mode === (FALLOC_FL.KEEP_SIZE | FALLOC_FL.PUNCH_HOLE);
  if (!isPunch && mode !== FALLOC_FL.KEEP_SIZE)
    refuse("EOPNOTSUPP", op, `mode ${mode}: KEEP_SIZE, alone or with PUNCH_HOLE`, { mode }, "fd");
  if (!isPageAligned(offset) || !isPageAligned(sizeBytes))
    refuse("EINVAL", op, `${offset} + ${sizeBytes} are no whole pages: align both`, { offset, sizeBytes }, "fd");
  return { isPunch, first: offset / PAGE_SIZE, end: (offset + sizeBytes) / PAGE_SIZE };
}
