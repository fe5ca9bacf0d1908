/**
 * Intel EPT as KVM writes it, four levels. A leaf suppresses the #VE of its address (bit 63); empty entries are all
 * zero here, where a TDX-capable KVM would leave bit 63 set in them too. Source: Intel SDM volume 3, chapter 30.
 */
import { entryOf, type Format, outputAddress, type Protection } from "../format.js";

const R = 1 << 0;
const W = 1 << 1;
const X = 1 << 2;
const TYPE_SHIFT = 3;
const PS = 1 << 7;
const ACCESSED = 1 << 8;
const SUPPRESS_VE_HI = 1 << 31;

/** Memory types of bits 5:3. MMIO is UC without "ignore PAT", so that the guest's own WC still counts. */
const TYPE = { uc: 0, wc: 1, wb: 6 } as const;
const TYPE_NAMES = new Map<number, NonNullable<Protection["cache"]>>([
  [0, "uc"],
  [1, "wc"],
  [6, "wb"],
]);

/** Four levels, 48-bit guest-physical addresses; leaves of 4 KiB, 2 MiB and 1 GiB. */
export const ept: Format = {
  id: "ept",
  levels: 4,
  maxVaBits: 48,
  maxOaBits: 52,
  leafSizesLog2: [12, 21, 30],
  encodeLeaf(level, physical, { read, write, execute, cache = "wb" }) {
    const permissions = (read ? R : 0) | (write ? W : 0) | (execute ? X : 0);
    return entryOf(physical, permissions | (TYPE[cache] << TYPE_SHIFT) | (level > 0 ? PS : 0), SUPPRESS_VE_HI);
  },
  encodeTable: (physical) => entryOf(physical, R | W | X | ACCESSED),
  decode(level, lo, hi) {
    if ((lo & (R | W | X)) === 0) return { kind: "empty" };
    const physical = outputAddress(lo, hi);
    if (level > 0 && (lo & PS) === 0) return { kind: "table", physical };
    const cache = TYPE_NAMES.get((lo >> TYPE_SHIFT) & 7);
    const flags = { read: (lo & R) !== 0, write: (lo & W) !== 0, execute: (lo & X) !== 0 };
    return { kind: "leaf", physical, protection: cache ? { ...flags, cache } : flags };
  },
};
