/** RISC-V Sv48, with page-based memory types (Svpbmt) where the IOMMU has them. Any level may hold leaves. */
import { belowSize, bit, field, type Format, type MemoryType, knownLeaf, knownTable, when } from "../format.js";

const V = bit(0);
const R = bit(1);
const W = bit(2);
const X = bit(3);
const U = bit(4);
const A = bit(6);
const D = bit(7);
const PBMT = field(62, 61);

/** Bits 62:61. Nothing set leaves it to the platform's own attributes (PMA), which for RAM are write-back. */
const TYPES: Readonly<Partial<Record<MemoryType, bigint>>> = { wb: 0n, wc: bit(61), uc: bit(62) };
const NAMES = new Map(Object.entries(TYPES).map(([name, code]) => [code, name as MemoryType]));

/** What differs from one IOMMU to another. */
export interface RiscvSv48Options {
  /** Does it know Svpbmt? Without it, memory types have no effect. @defaultValue true */
  readonly svpbmt?: boolean;
}

/**
 * Sv48 for a given IOMMU: the positive half of its sign-extended addresses. A leaf is executable unless `execute` is
 * `false`, and without a memory type it is left to the platform.
 * @example
 * createRiscvSv48({ svpbmt: false }).memoryTypes; // []
 */
export function createRiscvSv48({ svpbmt = true }: RiscvSv48Options = {}): Format {
  return {
    id: "riscv-sv48",
    title: "RISC-V Sv48",
    source: "RISC-V privileged specification, Sv48 and Svpbmt; Linux drivers/iommu/generic_pt/fmt/riscv.h",
    known: [
      knownLeaf(0x1234_5000, 12, { read: true, write: true }, 0x48d_14dfn),
      knownLeaf(0x1234_5000, 12, { read: true, write: true, execute: false }, 0x48d_14d7n),
      knownTable(1, 0x1000, 0x401n),
    ],
    levels: 4,
    vaBits: 47,
    // 56 in the format; a Number has 53.
    oaBits: 53,
    leafSizesLog2: [12, 21, 30, 39],
    memoryTypes: svpbmt ? ["uc", "wc", "wb"] : [],
    address: field(53, 10),
    present: V,
    tableMark: () => ({ mask: R | W | X, value: 0n }),
    tableFlags: () => V,
    leafFlags: (_shape, { read, write, execute, cache = "wb" }) =>
      V |
      U |
      A |
      when(read, R) |
      when(write, R | W | D) |
      when(execute !== false, X) |
      when(svpbmt, TYPES[cache] ?? 0n),
    protection(entry) {
      const allowed = { read: (entry & R) !== 0n, write: (entry & W) !== 0n, execute: (entry & X) !== 0n };
      const cache = svpbmt ? NAMES.get(entry & PBMT) : undefined;
      return cache ? { ...allowed, cache } : allowed;
    },
    malformed: (entry, level) => {
      if ((entry & (R | W)) === W) return "write without read";
      const isTable = (entry & (R | W | X)) === 0n;
      if (isTable && level === 0) return "a table below the lowest level";
      if (isTable && (entry & (U | A | D)) !== 0n) return "a table entry with bits of a leaf";
      // Addresses stand two bits lower in an entry.
      if (!isTable && (entry & (belowSize(level) >> 2n)) !== 0n)
        return "an address that is no multiple of the leaf's size";
      return (entry & PBMT) === PBMT ? "memory type 3 is reserved" : null;
    },
    accessed: A,
    dirty: D,
  };
}

/**
 * With Svpbmt.
 * @example
 * riscvSv48.leafSizesLog2; // [12, 21, 30, 39]
 */
export const riscvSv48: Format = createRiscvSv48();
