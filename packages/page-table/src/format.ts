/** What a format says about itself: layout facts, no algorithm. One file each under `formats/`. */
import type { PhysAddr } from "@dma-buf/core";

/** What a mapping allows. `cache` matters only where the format can express it. */
export interface Protection {
  readonly read: boolean;
  readonly write: boolean;
  readonly execute?: boolean;
  readonly cache?: "uc" | "wc" | "wb";
}

/** One 64-bit entry as two halves: the top bits of a leaf do not fit a Number. */
export interface Entry {
  readonly lo: number;
  readonly hi: number;
}

export type Decoded =
  | { readonly kind: "empty" }
  | { readonly kind: "table"; readonly physical: PhysAddr }
  | { readonly kind: "leaf"; readonly physical: PhysAddr; readonly protection: Protection };

export type Access = "read" | "write" | "execute";

/** A page-table format with 4 KiB tables of 512 entries of 8 bytes. Level 0 holds 4 KiB leaves. */
export interface Format {
  readonly id: string;
  /** Tables from root to leaf, 3 to 5. */
  readonly levels: number;
  /** Bits of an input address. */
  readonly maxVaBits: number;
  /** Bits of an output address. */
  readonly maxOaBits: number;
  /** log2 of the leaf sizes, ascending. */
  readonly leafSizesLog2: readonly number[];
  encodeLeaf(level: number, physical: PhysAddr, protection: Protection): Entry;
  encodeTable(physical: PhysAddr): Entry;
  decode(level: number, lo: number, hi: number): Decoded;
}

/** log2 of the bytes that one entry of a table at `level` covers. */
export function entryLog2(level: number): number {
  return 12 + 9 * level;
}

/** Bits 51:12 of an entry as a byte address. */
export function outputAddress(lo: number, hi: number): PhysAddr {
  return ((hi & 0x000f_ffff) * 2 ** 32 + ((lo & ~0xfff) >>> 0)) as PhysAddr;
}

/** A byte address in bits 51:12, with `lowBits` and `highBits` around it. */
export function entryOf(physical: PhysAddr, lowBits: number, highBits = 0): Entry {
  return { lo: (physical % 2 ** 32) | 0 | lowBits, hi: Math.floor(physical / 2 ** 32) | highBits };
}
