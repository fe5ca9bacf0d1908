/**
 * Arm LPAE stage 2 with a 4 KiB granule, as an SMMU walks it for a device. Linux counts its levels from the root, 0 to
 * 3; here level 0 is the lowest, as everywhere in this package. One hardware bit is set by software: the access flag.
 */
import { bit, field, type Format, type MemoryType, knownLeaf, knownTable, when } from "../format.js";

const VALID = bit(0);
/** With bit 0: a table above level 0, a page at level 0. Clear: a block. */
const TABLE_OR_PAGE = bit(1);
const HAP_READ = bit(6);
const HAP_WRITE = bit(7);
const SH_OUTER = bit(9);
const SH_INNER = field(9, 8);
const AF = bit(10);
const XN = field(54, 53);
const MEM_ATTR = field(5, 2);

/** Device-nGnRE, Normal non-cacheable, Normal write-back. */
const ATTRIBUTES: Readonly<Partial<Record<MemoryType, bigint>>> = { uc: 0x1n, wc: 0x5n, wb: 0xfn };
const NAMES = new Map(Object.entries(ATTRIBUTES).map(([name, code]) => [code, name as MemoryType]));

/** What differs from one SMMU to another. */
export interface ArmStage2Options {
  /** Bits of an input address. @defaultValue 48 */
  readonly iasBits?: number;
  /** Bits of an output address: 32, 36, 40, 42, 44 or 48. @defaultValue 48 */
  readonly oasBits?: 32 | 36 | 40 | 42 | 44 | 48;
}

/**
 * Stage 2 for a given SMMU. Where the architecture demands it (four levels and an output of 40 or 42 bits), the root is
 * several consecutive tables of three levels; elsewhere the deeper walk is kept, as Linux keeps it. Without a memory
 * type, a leaf is Normal non-cacheable.
 * @example
 * createArmStage2({ iasBits: 40, oasBits: 40 }).levels; // 3
 */
export function createArmStage2({ iasBits = 48, oasBits = 48 }: ArmStage2Options = {}): Format {
  if (!(Number.isInteger(iasBits) && iasBits >= 32 && iasBits <= 48))
    throw new RangeError(`iasBits ${iasBits}: a 4 KiB granule has 32 to 48`);
  const levels = Math.ceil((iasBits - 12) / 9);
  const concatenates = levels === 4 && (oasBits === 40 || oasBits === 42);
  if (concatenates && iasBits > 43)
    throw new RangeError(`iasBits ${iasBits}: with ${oasBits} bits of output the root is at most 16 tables, 43 bits`);
  return {
    id: "arm-stage2",
    title: "Arm LPAE stage 2",
    source: "Arm ARM D8, VMSAv8-64 stage 2 descriptors; Linux drivers/iommu/io-pgtable-arm.c",
    known: [
      knownLeaf(0x1234_5000, 12, { read: true, write: true, cache: "wb" }, 0x1234_57ffn),
      knownLeaf(0x1220_0000, 21, { read: true, write: false, cache: "uc" }, 0x1220_0645n),
      knownLeaf(0x1234_5000, 12, { read: true, write: true, execute: false }, 0x60_0000_1234_56d7n),
      knownTable(1, 0x1000, 0x1003n),
    ],
    levels: concatenates ? 3 : levels,
    vaBits: iasBits,
    oaBits: oasBits,
    leafSizesLog2: [12, 21, 30],
    memoryTypes: ["uc", "wc", "wb"],
    address: field(47, 12),
    present: VALID,
    tableMark: () => ({ mask: TABLE_OR_PAGE, value: TABLE_OR_PAGE }),
    tableFlags: () => VALID | TABLE_OR_PAGE,
    leafFlags: ({ level }, { read, write, execute, cache = "wc" }) =>
      VALID |
      when(level === 0, TABLE_OR_PAGE) |
      (((ATTRIBUTES[cache] ?? 0n) << 2n) & MEM_ATTR) |
      when(read, HAP_READ) |
      when(write, HAP_WRITE) |
      (cache === "wb" ? SH_INNER : SH_OUTER) |
      AF |
      when(execute === false, XN),
    protection(entry) {
      const allowed = {
        read: (entry & HAP_READ) !== 0n,
        write: (entry & HAP_WRITE) !== 0n,
        execute: (entry & XN) === 0n,
      };
      const cache = NAMES.get((entry & MEM_ATTR) >> 2n);
      return cache ? { ...allowed, cache } : allowed;
    },
    malformed: (entry, level) => {
      const isBlock = (entry & TABLE_OR_PAGE) === 0n;
      return isBlock && (level === 0 || level > 2) ? `a block at level ${3 - level}` : null;
    },
    accessed: AF,
    // Hardware could keep it in HAP_WRITE; Linux does not ask for that at stage 2.
    dirty: 0n,
  };
}

/**
 * Four levels, 48-bit input and output addresses.
 * @example
 * armStage2.oaBits; // 48
 */
export const armStage2: Format = createArmStage2();
