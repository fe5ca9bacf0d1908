/** The seals of a memory file. Linux: `include/uapi/linux/fcntl.h`, `mm/memfd.c`. */

/** What may not be done to a file any more. A seal is added and never taken away. */
export const F_SEAL = { SEAL: 1, SHRINK: 2, GROW: 4, WRITE: 8, FUTURE_WRITE: 0x10, EXEC: 0x20 } as const;

/** All of them. */
export const F_ALL_SEALS: number = Object.values(F_SEAL).reduce((all, seal) => all | seal, 0);

/** With all of these nobody changes a file's bytes or its size. */
const STILL = F_SEAL.SHRINK | F_SEAL.GROW | F_SEAL.WRITE | F_SEAL.FUTURE_WRITE;

/** The seals that come with these. The files are executable, and what can be executed must then not be written. */
export function withImplied(seals: number): number {
  return (seals & F_SEAL.EXEC) === 0 ? seals : seals | STILL;
}
