/** 64-bit values of the uAPI: bigint here and nowhere below, never in a per-page path. */

/** The greatest value of 64 bits. Linux: `ULONG_MAX`, `U64_MAX`. */
export const U64_MAX: bigint = 2n ** 64n - 1n;

/** As the kernel's log writes it; what is no bigint, which a refusal tells, as it is. */
export const hex64 = (value: unknown): string =>
  typeof value === "bigint" ? `0x${value.toString(16)}` : String(value);

/** Fits an unsigned field of 64 bits? */
export const isU64 = (value: unknown): value is bigint => typeof value === "bigint" && value >= 0n && value <= U64_MAX;

/** Is each bit of `value` below the power of two `alignment` clear? */
export const isAligned = (value: bigint, alignment: bigint): boolean => (value & (alignment - 1n)) === 0n;

/** Up to the next multiple of the power of two `alignment`. May exceed 64 bits. */
export const alignUp = (value: bigint, alignment: bigint): bigint => (value + alignment - 1n) & ~(alignment - 1n);

/** The power of two that is `value` or just above it; `value` above 0. */
export function roundUpToPowerOfTwo(value: bigint): bigint {
  return 1n << BigInt((value - 1n).toString(2).length - (value === 1n ? 1 : 0));
}

/** The lowest set bit as a power of two; 0 for 0. */
export const lowestSetBit = (value: bigint): bigint => value & -value;
