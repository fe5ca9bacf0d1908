/**
 * x86-64 paging: a CPU's table, VT-d's first stage, AMD's v2, and with other software bits NPT. A present entry can be
 * read: there is no bit for it, and no write without it.
 */
import { belowSize, bit, field, type Format, knownLeaf, knownTable, type Protection, when } from "../format.js";

const P = bit(0);
const RW = bit(1);
const US = bit(2);
const A = bit(5);
const D = bit(6);
const PS = bit(7);
const XD = bit(63);
/** What KVM notes in bits that hardware ignores: host may write, KVM may write, present for KVM. */
const HOST_WRITABLE = bit(9);
const MMU_WRITABLE = bit(10);
const MMU_PRESENT = bit(11);

/** Everything but who writes leaves and how. */
const layout = {
  leafSizesLog2: [12, 21, 30],
  memoryTypes: [],
  address: field(51, 12),
  present: P,
  tableMark: (level: number) => (level <= 2 ? { mask: PS, value: 0n } : { mask: 0n, value: 0n }),
  protection: (entry: bigint): Protection => ({
    read: true,
    write: (entry & RW) !== 0n,
    execute: (entry & XD) === 0n,
  }),
  tablePermissions: (entry: bigint) => ({ read: true, write: (entry & RW) !== 0n, execute: (entry & XD) === 0n }),
  malformed: (entry: bigint, level: number): string | null => {
    if ((entry & PS) === 0n || level === 0) return null;
    if (level > 2) return `a leaf at level ${level + 1}`;
    // Bit 12 of a large leaf belongs to its memory type.
    return (entry & belowSize(level, 13)) === 0n ? null : "an address that is no multiple of the leaf's size";
  },
  accessed: A,
  dirty: D,
} as const;

/** What differs from one table to another. */
export interface X86Options {
  /** @defaultValue 4 */
  readonly levels?: 4 | 5;
  /** Physical address width, MAXPHYADDR. @defaultValue 52 */
  readonly oaBits?: number;
}

/**
 * x86-64 paging as Linux's IOMMU code writes it. Addresses are sign-extended; this is the positive half, all that AMD's
 * v2 has and all that a user process sees: 47 or 56 bits, of which a Number has 53. Leaves stay executable unless
 * `execute` is `false`.
 * @example
 * createX86({ levels: 5 }).levels; // 5
 */
export function createX86({ levels = 4, oaBits = 52 }: X86Options = {}): Format {
  return {
    ...layout,
    id: "x86-64",
    title: "x86-64",
    source: "Intel SDM volume 3, chapter 5; Linux drivers/iommu/generic_pt/fmt/x86_64.h",
    known: [
      knownLeaf(0x1234_5000, 12, { read: true, write: true }, 0x1234_5067n),
      knownLeaf(0x1220_0000, 21, { read: true, write: false }, 0x1220_00a5n),
      knownLeaf(0x1234_5000, 12, { read: true, write: true, execute: false }, 0x8000_0000_1234_5067n),
      knownTable(1, 0x1000, 0x1027n),
    ],
    levels,
    vaBits: Math.min(12 + 9 * levels - 1, 53),
    oaBits,
    tableFlags: () => P | RW | US | A,
    leafFlags: ({ level }, { write, execute }) =>
      P | US | A | when(write, RW | D) | when(level > 0, PS) | when(execute === false, XD),
  };
}

/**
 * NPT, the second stage of AMD's CPUs, as KVM writes it: guest-physical addresses are not sign-extended, and what may
 * not be executed says so. The memory type is the guest's: KVM sets none.
 * @example
 * createNpt().vaBits; // 48
 */
export function createNpt({ levels = 4, oaBits = 52 }: X86Options = {}): Format {
  return {
    ...layout,
    id: "npt",
    title: "NPT",
    source: "AMD APM volume 2, 15.25 nested paging; Linux arch/x86/kvm/mmu/spte.c",
    known: [
      knownLeaf(0x1234_5000, 12, { read: true, write: true }, 0x8000_0000_1234_5e67n),
      knownLeaf(0x1220_0000, 21, { read: true, write: false, execute: true }, 0x1220_08a5n),
      knownTable(1, 0x1000, 0x1827n),
    ],
    levels,
    vaBits: Math.min(12 + 9 * levels, 53),
    oaBits,
    tableFlags: () => P | RW | US | A | MMU_PRESENT,
    leafFlags: ({ level }, { write, execute }) =>
      P |
      US |
      A |
      MMU_PRESENT |
      when(write, RW | D | HOST_WRITABLE | MMU_WRITABLE) |
      when(level > 0, PS) |
      when(!execute, XD),
  };
}

/**
 * Four levels, the positive half of 48 bits.
 * @example
 * x86.vaBits; // 47
 */
export const x86: Format = createX86();
/**
 * Four levels, 48-bit guest-physical addresses.
 * @example
 * npt.levels; // 4
 */
export const npt: Format = createNpt();
