/** The seals of a memory file. Linux: `include/uapi/linux/fcntl.h`, `mm/memfd.c`. */

/** What may not be done to a file any more. A seal is added and never taken away. */
export const F_SEAL = { SEAL: 1, SHRINK: 2, GROW: 4, WRITE: 8, FUTURE_WRITE: 0x10, EXEC: 0x20 } as const;

/** All of them. */
export const F_ALL_SEALS: number = Object.values(F_SEAL).reduce((all, seal) => all | seal, 0);
