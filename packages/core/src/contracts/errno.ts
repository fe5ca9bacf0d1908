/**
 * Errnos that the kernel's dma-buf, VFIO, IOMMUFD and KVM paths return, with Linux's numbers (asm-generic).
 * @example
 * ERRNO.EDEADLK; // 35
 */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  EMFILE: 24,
  ENOTTY: 25,
  ENOSPC: 28,
  ERANGE: 34,
  EDEADLK: 35,
  EOVERFLOW: 75,
  EBADFD: 77,
  EMSGSIZE: 90,
  EOPNOTSUPP: 95,
  EADDRINUSE: 98,
  ETIMEDOUT: 110,
  EALREADY: 114,
  EREMOTEIO: 121,
  EHWPOISON: 133,
  ERESTARTSYS: 512,
} as const;

/** The name of an errno, as in `errno(3)`. */
export type ErrnoName = keyof typeof ERRNO;
