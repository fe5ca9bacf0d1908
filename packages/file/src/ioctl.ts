/** The numbers of a dma-buf's ioctls. Linux: `include/uapi/linux/dma-buf.h`. */

/**
 * Commands that every dma-buf has.
 * @example
 * yield* files.ioctl(buf, DMA_BUF_IOCTL.SET_NAME_B, "scanout");
 * buf.name; // "scanout"
 */
export const DMA_BUF_IOCTL = { SYNC: 0x40086200, SET_NAME_A: 0x40046201, SET_NAME_B: 0x40086201 } as const;

/**
 * Flags of `DMA_BUF_IOCTL_SYNC`.
 * @example
 * yield* files.ioctl(buf, DMA_BUF_IOCTL.SYNC, { flags: DMA_BUF_SYNC.START | DMA_BUF_SYNC.READ });
 */
export const DMA_BUF_SYNC = { READ: 1, WRITE: 2, RW: 3, START: 0, END: 4 } as const;

/** All flags together: a value above has a bit that is none. */
export const SYNC_FLAGS: number = DMA_BUF_SYNC.RW | DMA_BUF_SYNC.END;

/** Of `SET_NAME`, with the NUL. */
export const NAME_BYTES_MAX = 32;
