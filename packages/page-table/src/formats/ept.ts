/**
 * Intel EPT as KVM writes it: memory types in the leaf, #VE suppressed everywhere, KVM's own notes in ignored bits.
 * Empty entries are zero here, where KVM leaves the #VE bit set in them too.
 */
import { belowSize, bit, field, type Format, type MemoryType, knownLeaf, knownTable, when } from "../format.js";
import { refuseProtection } from "../refuse.js";

const R = bit(0);
const W = bit(1);
const X = bit(2);
const RWX = R | W | X;
const TYPE = field(5, 3);
const PS = bit(7);
const A = bit(8);
const D = bit(9);
/** Execute in user mode, where mode-based execute control is on; ignored where not. KVM writes both together. */
const XU = bit(10);
const SUPPRESS_VE = bit(63);
/** What KVM notes in bits that hardware ignores: present for KVM, host may write, KVM may write. */
const MMU_PRESENT = bit(11);
const HOST_WRITABLE = bit(53);
const MMU_WRITABLE = bit(55);

/** Bits 5:3; 2, 3 and 7 are reserved. MMIO is UC without "ignore PAT" (bit 6), so that the guest's own WC still counts. */
const TYPES: Readonly<Record<MemoryType, bigint>> = { uc: 0n, wc: 1n, wt: 4n, wp: 5n, wb: 6n };
const NAMES = new Map(Object.entries(TYPES).map(([name, code]) => [code, name as MemoryType]));
const typeOf = (entry: bigint): bigint => (entry & TYPE) >> 3n;

/** What differs from one CPU to another. */
export interface EptOptions {
  /** @defaultValue 4 */
  readonly levels?: 4 | 5;
  /** Physical address width, MAXPHYADDR. @defaultValue 52 */
  readonly oaBits?: number;
}

/**
 * EPT for a given CPU. Without a memory type, a leaf is write-back.
 * @example
 * createEpt({ levels: 5 }).vaBits; // 53
 */
export function createEpt({ levels = 4, oaBits = 52 }: EptOptions = {}): Format {
  return {
    id: "ept",
    title: "EPT",
    source: "Intel SDM volume 3, chapter 30; Linux arch/x86/kvm/mmu/spte.c",
    known: [
      knownLeaf(0x40_0000_0000, 12, { read: true, write: true, cache: "uc" }, 0x80a0_0040_0000_0b03n),
      knownLeaf(0x1220_0000, 21, { read: true, write: true, execute: true, cache: "wb" }, 0x80a0_0000_1220_0fb7n),
      knownLeaf(0x1234_5000, 12, { read: true, write: false, cache: "wc" }, 0x8000_0000_1234_5909n),
      knownLeaf(0x1234_5000, 12, { read: true, write: false, cache: "wp" }, 0x8000_0000_1234_5929n),
      knownLeaf(0x1234_5000, 12, { read: true, write: false, cache: "wt" }, 0x8000_0000_1234_5921n),
      knownTable(1, 0x1000, 0x8000_0000_0000_1d07n),
    ],
    levels,
    vaBits: Math.min(12 + 9 * levels, 53),
    oaBits,
    leafSizesLog2: [12, 21, 30],
    memoryTypes: ["uc", "wc", "wt", "wp", "wb"],
    address: field(51, 12),
    present: RWX,
    tableMark: (level) => (level <= 2 ? { mask: PS, value: 0n } : { mask: 0n, value: 0n }),
    tableFlags: () => RWX | XU | A | MMU_PRESENT | SUPPRESS_VE,
    leafFlags({ level }, protection) {
      const { read, write, execute, cache = "wb" } = protection;
      if (write && !read)
        refuseProtection(this, protection, "write without read is a misconfiguration: allow reads too");
      return (
        when(read, R) |
        when(write, W | D | HOST_WRITABLE | MMU_WRITABLE) |
        when(execute, X | XU) |
        (TYPES[cache] << 3n) |
        when(level > 0, PS) |
        (A | MMU_PRESENT | SUPPRESS_VE)
      );
    },
    protection(entry) {
      const allowed = { read: (entry & R) !== 0n, write: (entry & W) !== 0n, execute: (entry & X) !== 0n };
      const cache = NAMES.get(typeOf(entry));
      return cache ? { ...allowed, cache } : allowed;
    },
    tablePermissions: (entry) => ({
      read: (entry & R) !== 0n,
      write: (entry & W) !== 0n,
      execute: (entry & X) !== 0n,
    }),
    malformed(entry, level) {
      if ((entry & (R | W)) === W) return "write without read";
      const isLeaf = level === 0 || (level <= 2 && (entry & PS) !== 0n);
      if (isLeaf && !NAMES.has(typeOf(entry))) return `memory type ${typeOf(entry)} is reserved`;
      if (isLeaf) return (entry & belowSize(level)) === 0n ? null : "an address that is no multiple of the leaf's size";
      return (entry & field(7, 3)) === 0n ? null : "a table entry has bits 7:3 set";
    },
    accessed: A,
    dirty: D,
  };
}

/**
 * Four levels, 48-bit guest-physical addresses.
 * @example
 * ept.memoryTypes; // ["uc", "wc", "wt", "wp", "wb"]
 */
export const ept: Format = createEpt();
