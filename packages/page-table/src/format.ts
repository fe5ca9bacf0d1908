/**
 * What a page-table format says about itself: which bit means what. No walk, no fill, no allocation: those are written
 * once, in `engine/` and `walk.ts`. One file each under `formats/`.
 */

/**
 * Memory types, from strict to relaxed, by their x86 names. On Arm `uc` is Device-nGnRE and `wc` is Normal
 * non-cacheable; on RISC-V they are IO and NC. What Linux's `pgprot_noncached()` and `pgprot_writecombine()` become.
 * @example
 * MEMORY_TYPES.includes("wb"); // true
 */
export const MEMORY_TYPES = ["uc", "wc", "wt", "wp", "wb"] as const;
/** One of {@link MEMORY_TYPES}. */
export type MemoryType = (typeof MEMORY_TYPES)[number];

/** What a mapping allows, and how the memory behind it is accessed. */
export interface Protection {
  readonly read: boolean;
  readonly write: boolean;
  /** Refused by formats that cannot say it. @defaultValue false */
  readonly execute?: boolean;
  /**
   * Without effect in formats whose entries carry no memory type (`memoryTypes` is empty), as in Linux; refused by the
   * others when it is not one of theirs.
   * @defaultValue the format's own
   */
  readonly cache?: MemoryType;
  /**
   * The address is one of the device's own memory, which the device reaches without its bus: a GPU's VRAM, or a peer's
   * over their fabric. Refused by formats that cannot say it.
   * @defaultValue false
   */
  readonly deviceMemory?: boolean;
}

/** What an access asks for. */
export type Access = "read" | "write" | "execute";

/** What a format needs to know about a leaf to encode it. */
export interface LeafShape {
  /** The level of the table that holds it: 0 is the lowest, whose entries cover 4 KiB each. */
  readonly level: number;
  /** log2 of its size in bytes. More than the level's entries cover: it stands in several entries. */
  readonly sizeLog2: number;
}

/** The bits that tell a table from a leaf among the present entries of a level: a table has `value` under `mask`. */
export interface TableMark {
  /** Within bits 31:0, or within bits 63:32 at every level. */
  readonly mask: bigint;
  readonly value: bigint;
}

/** An entry as the manual, or the driver that writes it, has it: what tests hold the rest of the format against. */
export type KnownEntry =
  | {
      readonly kind: "leaf";
      readonly physical: number;
      readonly sizeLog2: number;
      readonly protection: Protection;
      readonly entry: bigint;
    }
  | { readonly kind: "table"; readonly level: number; readonly physical: number; readonly entry: bigint };

/**
 * A page-table format with tables of 4 KiB, 512 entries of 8 bytes each. Entries are `bigint`s here, as the manuals
 * print them; the engine turns these facts into halves of 32 bits once, when a table is made.
 */
export interface Format {
  /** Unique among the formats: `vtd-second-stage`. */
  readonly id: string;
  /** As people call it: `VT-d second stage`. */
  readonly title: string;
  /** The manual, and the code in Linux that writes it. */
  readonly source: string;
  /** At least one leaf and one table. */
  readonly known: readonly KnownEntry[];
  /** Levels of tables that a new page table has. */
  readonly levels: number;
  /** Levels up to which the root may grow when a higher address is mapped. @defaultValue {@link levels} */
  readonly levelsMax?: number;
  /**
   * Bits of an input address: addresses from 0 to `2 ** vaBits - 1`. At most 53, as addresses are Numbers. More than
   * the root's 9 bits leave room for makes the root several consecutive tables, as Arm's concatenation does.
   */
  readonly vaBits: number;
  /** Bits of an output address. At most 53. */
  readonly oaBits: number;
  /** log2 of the sizes a leaf may have, ascending. The first is 12. */
  readonly leafSizesLog2: readonly number[];
  /** Memory types that entries carry. Empty: none. */
  readonly memoryTypes: readonly MemoryType[];
  /** Can an entry say that its address is one of the device's own memory? @defaultValue false */
  readonly hasDeviceMemory?: boolean;
  /** The bits that hold the address from bit 12 up. Contiguous. */
  readonly address: bigint;
  /** An entry is present if it has any of these bits. */
  readonly present: bigint;
  /** What a present entry of a table at `level` (1 or higher) looks like if it is a table. At level 0 there are none. */
  tableMark(level: number): TableMark;
  /** Everything but the address of an entry at `level` that leads to a table. */
  tableFlags(level: number): bigint;
  /**
   * Everything but the address of a leaf. Bits of the address below its size may be used: the address has none there.
   * @throws DmaBufError `EINVAL` or `EOPNOTSUPP` for what the format cannot say; {@link refuseProtection} makes it.
   */
  leafFlags(shape: LeafShape, protection: Protection): bigint;
  /** What a leaf allows. */
  protection(entry: bigint, level: number): Protection;
  /** What a table entry takes away from everything below it, where hardware looks. @defaultValue nothing */
  tablePermissions?(entry: bigint): Required<Pick<Protection, "read" | "write" | "execute">>;
  /**
   * log2 of a leaf's size where the entry itself codes it, from its halves; 0 where it has the size of one entry.
   * Then the address bits below the size are part of the code. Called for each walk: no `bigint` here.
   * @defaultValue a leaf has the size of one entry
   */
  codedSizeLog2?(lo: number, hi: number): number;
  /** Why hardware refuses a present entry as malformed, or `null`. @defaultValue it never does */
  malformed?(entry: bigint, level: number): string | null;
  /** The bit of a leaf that hardware sets when it reads or writes through it; 0 if it has none. */
  readonly accessed: bigint;
  /** The bit of a leaf that hardware sets when it writes through it; 0 if it has none. */
  readonly dirty: bigint;
}

/**
 * A row of {@link Format.known}.
 * @example
 * knownLeaf(0x1234_5000, 12, { read: true, write: true }, 0x1234_5003n).kind; // "leaf"
 */
export function knownLeaf(physical: number, sizeLog2: number, protection: Protection, entry: bigint): KnownEntry {
  return { kind: "leaf", physical, sizeLog2, protection, entry };
}

/**
 * A row of {@link Format.known}.
 * @example
 * knownTable(1, 0x1000, 0x1003n).entry; // 0x1003n
 */
export function knownTable(level: number, physical: number, entry: bigint): KnownEntry {
  return { kind: "table", level, physical, entry };
}

/**
 * log2 of the bytes that one entry of a table at `level` covers.
 * @example
 * entryLog2(1); // 21
 */
export function entryLog2(level: number): number {
  return 12 + 9 * level;
}

/** The address bits of a leaf that its size leaves without meaning, from `lowest` on. Many formats want them clear. */
export function belowSize(level: number, lowest = 12): bigint {
  return level === 0 ? 0n : bit(entryLog2(level)) - bit(lowest);
}

/** Can a leaf of a level have a size that is not its level's own? It takes several entries of one table. */
export function isCodedSize(sizeLog2: number, level: number): boolean {
  return sizeLog2 > entryLog2(level) && sizeLog2 < entryLog2(level + 1);
}

/**
 * Bit `n` of an entry.
 * @example
 * bit(63); // 0x8000_0000_0000_0000n
 */
export function bit(n: number): bigint {
  return 1n << BigInt(n);
}

/**
 * Bits `high` to `low` of an entry, both included.
 * @example
 * field(5, 3); // 0x38n
 */
export function field(high: number, low: number): bigint {
  return (bit(high + 1) - 1n) & ~(bit(low) - 1n);
}

/**
 * `flag` if `on`, else nothing: for sums of flags.
 * @example
 * bit(0) | when(false, bit(1)); // 1n
 */
export function when(on: boolean | undefined, flag: bigint): bigint {
  return on ? flag : 0n;
}
