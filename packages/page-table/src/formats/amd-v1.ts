/**
 * AMD IOMMU v1, the host table. A leaf may have any power-of-two size: what is no level's own is coded in the address as
 * a run of ones, and stands, the same, in every entry that it covers. The root grows with the addresses.
 */
import {
  bit,
  field,
  type Format,
  type LeafShape,
  entryLog2,
  isCodedSize,
  knownLeaf,
  knownTable,
  when,
} from "../format.js";
import { refuseProtection } from "../refuse.js";

const PR = bit(0);
const A = bit(5);
const D = bit(6);
const NEXT_LEVEL = field(11, 9);
const FC = bit(60);
const IR = bit(61);
const IW = bit(62);

/** Next Level: the level below as AMD counts them, from 1, which is this entry's own as counted here, from 0. */
const nextLevel = (level: number): bigint => BigInt(level) << 9n;
/** Next Level of a leaf whose address codes its size. */
const CODED = nextLevel(7);
const CODED_LO = Number(CODED);

/** 4 KiB to 2 PiB, but for 512 GiB, which an erratum forbids. */
const LEAF_SIZES_LOG2: readonly number[] = Array.from({ length: 40 }, (_, i) => 12 + i).filter((s) => s !== 39);

/** What differs from one domain to another. */
export interface AmdV1Options {
  /** Levels that a new table has. @defaultValue 3, as Linux */
  readonly levels?: 2 | 3 | 4 | 5;
  /** Beyond it, a map is refused. 64 in the format, 53 in a Number. @defaultValue 48 */
  readonly vaBits?: number;
  /** Host address width. @defaultValue 52 */
  readonly oaBits?: number;
  /** The domain enforces coherence. @defaultValue false */
  readonly forceCoherent?: boolean;
}

/**
 * AMD v1 for a given domain.
 * @example
 * createAmdV1({ vaBits: 39 }).levelsMax; // 3
 */
export function createAmdV1(options: AmdV1Options = {}): Format {
  const { levels = 3, vaBits = 48, oaBits = 52, forceCoherent = false } = options;
  return {
    id: "amd-v1",
    title: "AMD I/O v1",
    source: "AMD IOMMU specification 2.2.3, host page tables; Linux drivers/iommu/generic_pt/fmt/amdv1.h",
    known: [
      knownLeaf(0x1234_5000, 12, { read: true, write: true }, 0x6000_0000_1234_5001n),
      knownLeaf(0x1234_6000, 13, { read: true, write: true }, 0x6000_0000_1234_6e01n),
      knownLeaf(0x1234_0000, 16, { read: true, write: true }, 0x6000_0000_1234_7e01n),
      knownLeaf(0x1230_0000, 20, { read: true, write: true }, 0x6000_0000_1237_fe01n),
      knownLeaf(0x1220_0000, 21, { read: true, write: true }, 0x6000_0000_1220_0001n),
      knownLeaf(0x1240_0000, 22, { read: true, write: true }, 0x6000_0000_125f_fe01n),
      knownLeaf(0x4000_0000, 30, { read: true, write: true }, 0x6000_0000_4000_0001n),
      knownLeaf(0x1234_5000, 12, { read: true, write: false }, 0x2000_0000_1234_5001n),
      knownTable(1, 0x1000, 0x6000_0000_0000_1201n),
      knownTable(2, 0x1000, 0x6000_0000_0000_1401n),
    ],
    levels,
    levelsMax: Math.max(levels, Math.ceil((vaBits - 12) / 9)),
    vaBits,
    oaBits,
    leafSizesLog2: LEAF_SIZES_LOG2,
    memoryTypes: [],
    address: field(51, 12),
    present: PR,
    tableMark: (level) => ({ mask: NEXT_LEVEL, value: nextLevel(level) }),
    tableFlags: (level) => PR | nextLevel(level) | IR | IW,
    leafFlags(shape, protection) {
      const { read, write, execute } = protection;
      if (execute) refuseProtection(this, protection, "it has no execute permission: leave `execute` out");
      return PR | when(read, IR) | when(write, IW) | when(forceCoherent, FC) | sizeCode(shape);
    },
    protection: (entry) => ({ read: (entry & IR) !== 0n, write: (entry & IW) !== 0n }),
    tablePermissions: (entry) => ({ read: (entry & IR) !== 0n, write: (entry & IW) !== 0n, execute: true }),
    codedSizeLog2: (lo, hi) => ((lo & CODED_LO) === CODED_LO ? 13 + trailingOnes(lo, hi) : 0),
    malformed(entry, level) {
      const next = entry & NEXT_LEVEL;
      const coded = next === CODED ? 13 + trailingOnes(Number(entry & 0xffff_ffffn), Number(entry >> 32n)) : 0;
      if (coded !== 0 && !isCodedSize(coded, level)) return `a leaf of 2^${coded} bytes at level ${level + 1}`;
      if (level === 0 || next === 0n || next === CODED || next === nextLevel(level)) return null;
      return `next level ${next >> 9n} at level ${level + 1}`;
    },
    accessed: A,
    dirty: D,
  };
}

/**
 * Three levels at first, 48-bit input addresses.
 * @example
 * amdV1.leafSizesLog2.includes(39); // false
 */
export const amdV1: Format = createAmdV1();

/** Bits 12 to `size - 2` set and `size - 1` clear, for a size that is not the level's own. */
function sizeCode({ level, sizeLog2 }: LeafShape): bigint {
  if (sizeLog2 === entryLog2(level)) return 0n;
  return CODED | (bit(sizeLog2 - 1) - bit(12));
}

/** How many ones the address field (51:12) begins with. */
function trailingOnes(lo: number, hi: number): number {
  const low = ~(lo >> 12) & 0xf_ffff;
  const clear = low || ~hi & 0xf_ffff;
  return clear === 0 ? 40 : (low ? 0 : 20) + (31 - Math.clz32(clear & -clear));
}
