/** VT-d second stage. There is no present bit: an entry is empty when it is all zero. Source: VT-d specification. */
import { entryOf, type Format, outputAddress } from "../format.js";

const R = 1 << 0;
const W = 1 << 1;
const PS = 1 << 7;

/** Four levels, 48-bit input addresses; leaves of 4 KiB, 2 MiB and 1 GiB. It has no memory-type and no execute bits. */
export const vtdSecondStage: Format = {
  id: "vtd-second-stage",
  levels: 4,
  maxVaBits: 48,
  maxOaBits: 52,
  leafSizesLog2: [12, 21, 30],
  encodeLeaf: (level, physical, { read, write }) =>
    entryOf(physical, (read ? R : 0) | (write ? W : 0) | (level > 0 ? PS : 0)),
  encodeTable: (physical) => entryOf(physical, R | W),
  decode(level, lo, hi) {
    if (lo === 0 && hi === 0) return { kind: "empty" };
    const physical = outputAddress(lo, hi);
    const isLeaf = level === 0 || (level <= 2 && (lo & PS) !== 0);
    if (!isLeaf) return { kind: "table", physical };
    return { kind: "leaf", physical, protection: { read: (lo & R) !== 0, write: (lo & W) !== 0 } };
  },
};
