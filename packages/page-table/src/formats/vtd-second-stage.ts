/** VT-d second stage. No present bit: an entry is empty when it is zero, so a leaf allows something. */
import { bit, field, type Format, knownLeaf, knownTable, when } from "../format.js";
import { refuseProtection } from "../refuse.js";

const R = bit(0);
const W = bit(1);
const PS = bit(7);
const A = bit(8);
const D = bit(9);
const SNP = bit(11);

/** What differs from one VT-d unit to another. */
export interface VtdSecondStageOptions {
  /** The unit's adjusted guest address width: 39, 48 or 57 bits. @defaultValue 4 */
  readonly levels?: 3 | 4 | 5;
  /** Host address width. @defaultValue 52 */
  readonly oaBits?: number;
  /** The domain enforces coherence: leaves force snooping. @defaultValue false */
  readonly forceSnoop?: boolean;
  /** Parent of a nested domain on a unit whose erratum forbids read-only leaves. @defaultValue false */
  readonly forceWritable?: boolean;
}

/**
 * VT-d second stage for a given unit.
 * @example
 * createVtdSecondStage({ levels: 3 }).vaBits; // 39
 */
export function createVtdSecondStage(options: VtdSecondStageOptions = {}): Format {
  const { levels = 4, oaBits = 52, forceSnoop = false, forceWritable = false } = options;
  return {
    id: "vtd-second-stage",
    title: "VT-d second stage",
    source: "Intel VT-d specification, second-stage paging entries; Linux drivers/iommu/generic_pt/fmt/vtdss.h",
    known: [
      knownLeaf(0x1234_5000, 12, { read: true, write: true }, 0x1234_5003n),
      knownLeaf(0x1220_0000, 21, { read: true, write: false }, 0x1220_0081n),
      knownLeaf(0x40_1234_5000, 12, { read: false, write: true }, 0x40_1234_5002n),
      knownTable(1, 0x1000, 0x1003n),
    ],
    levels,
    // Five levels have 57 bits; a Number has 53.
    vaBits: Math.min(12 + 9 * levels, 53),
    oaBits,
    leafSizesLog2: [12, 21, 30],
    memoryTypes: [],
    address: field(51, 12),
    present: field(63, 0),
    tableMark: (level) => (level <= 2 ? { mask: PS, value: 0n } : { mask: 0n, value: 0n }),
    tableFlags: () => R | W,
    leafFlags({ level }, protection) {
      const { read, write, execute } = protection;
      if (execute) refuseProtection(this, protection, "it has no execute permission: leave `execute` out");
      if (forceWritable && !write)
        refuseProtection(this, protection, "the parent of a nested domain must be writable on this unit: allow writes");
      return when(read, R) | when(write, W) | when(level > 0, PS) | when(forceSnoop, SNP);
    },
    protection: (entry) => ({ read: (entry & R) !== 0n, write: (entry & W) !== 0n }),
    tablePermissions: (entry) => ({ read: (entry & R) !== 0n, write: (entry & W) !== 0n, execute: true }),
    accessed: A,
    dirty: D,
  };
}

/**
 * Four levels, 48-bit input addresses, no forced snooping.
 * @example
 * vtdSecondStage.leafSizesLog2; // [12, 21, 30]
 */
export const vtdSecondStage: Format = createVtdSecondStage();
