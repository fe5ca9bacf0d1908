/** A format's facts in halves of 32 bits: what the loops of the engine compare, made once for each format. */
import { entryLog2, type Format, type TableMark } from "../format.js";
import type { LeafRun } from "./leaf-writer.js";

/** 2^32, to split and to join halves. */
export const WORD: number = 2 ** 32;

/** As core's PAGE_SIZE; a constant of this module is one to the compiler too, and a division by it a multiplication. */
export const PAGE_BYTES = 4096;

/** Powers of two up to 2^63: a look-up costs a twentieth of `2 ** n`, which is a call of `pow`. */
export const POWER: Float64Array = Float64Array.from({ length: 64 }, (_, n) => 2 ** n);

/** Numbers of one format. Levels count from 0, the lowest. */
export class Layout {
  readonly presentLo: number;
  readonly presentHi: number;
  /** Which half tells a table from a leaf: 0 the low one, 1 the high one. */
  readonly markHalf: 0 | 1;
  /** By level: a present entry is a table if that half has this value under this mask. */
  readonly tableMask: Int32Array;
  readonly tableValue: Int32Array;
  /** By level: everything but the address of an entry that leads to a table. */
  readonly tableLo: Int32Array;
  readonly tableHi: Int32Array;
  /** Where in an entry bit 12 of an address stands, and a factor that brings an address there. */
  readonly shift: number;
  readonly scale: number;
  /** The bits of a page frame number from bit 32 up, once the entry's high half is shifted down. */
  readonly pfnHiMask: number;
  /** By level: bytes that an entry covers, and the inverse. */
  readonly entryBytes: Float64Array;
  readonly perEntry: Float64Array;
  /** Does a leaf's entry code its size? */
  readonly coded: Format["codedSizeLog2"];

  constructor(format: Format) {
    checkFormat(format);
    const levels = Math.max(format.levels, format.levelsMax ?? 0);
    const marks = Array.from({ length: levels }, (_, level) => format.tableMark(level));
    this.markHalf = markHalf(format.id, marks);
    const half = this.markHalf === 0 ? low : high;
    this.presentLo = low(format.present);
    this.presentHi = high(format.present);
    this.tableMask = Int32Array.from(marks, ({ mask }) => half(mask));
    this.tableValue = Int32Array.from(marks, ({ value }) => half(value));
    const flags = marks.map((_, level) => format.tableFlags(level));
    this.tableLo = Int32Array.from(flags, low);
    this.tableHi = Int32Array.from(flags, high);
    this.shift = lowestBit(format.address);
    this.scale = 2 ** (this.shift - 12);
    this.pfnHiMask = Number(format.address >> BigInt(32 + this.shift));
    this.entryBytes = Float64Array.from({ length: levels }, (_, level) => 2 ** entryLog2(level));
    this.perEntry = this.entryBytes.map((bytes) => 1 / bytes);
    this.coded = format.codedSizeLog2?.bind(format);
  }

  /** Leaves of one size from `physical` on, each in so many entries. */
  run(flagsLo: number, flagsHi: number, physical: number, sizeLog2: number, copies: number): LeafRun {
    const address = physical * this.scale;
    const stride = (POWER[sizeLog2] as number) * this.scale;
    return { lo: flagsLo | address, hi: flagsHi | (address / WORD), stride, copies };
  }
}

/** A format never changes, and neither does what follows from it. */
const LAYOUTS = new WeakMap<Format, Layout>();

/** The numbers of a format, made once. @throws RangeError for what the engine cannot count on */
export function layoutOf(format: Format): Layout {
  let layout = LAYOUTS.get(format);
  if (!layout) LAYOUTS.set(format, (layout = new Layout(format)));
  return layout;
}

/** The half of an entry that every level's mark is in. @throws RangeError for a mark in both, or a value beside its mask */
function markHalf(id: string, marks: readonly TableMark[]): 0 | 1 {
  const bits = marks.reduce((all, { mask }) => all | mask, 0n);
  const isWithin = marks.every(({ mask, value }) => (value & ~mask) === 0n);
  if (isWithin && bits < 2n ** 32n) return 0;
  if (isWithin && bits % 2n ** 32n === 0n) return 1;
  throw new RangeError(`${id}: a table mark is a value under a mask within bits 31:0, or 63:32`);
}

/** Refuses what the engine cannot count on. @throws RangeError */
function checkFormat({ id, levels, levelsMax = levels, vaBits, oaBits, address }: Format): void {
  const whole = (n: number, from: number, to: number): boolean => Number.isInteger(n) && n >= from && n <= to;
  if (!whole(vaBits, 13, 53)) throw new RangeError(`${id}: ${vaBits} bits of input address: give 13 to 53`);
  if (!whole(oaBits, 13, 53)) throw new RangeError(`${id}: ${oaBits} bits of output address: give 13 to 53`);
  if (!whole(levels, 2, 6) || !whole(levelsMax, levels, 6))
    throw new RangeError(`${id}: ${levels} levels, up to ${levelsMax}: give 2 to 6, in ascending order`);
  // A root of several tables does not grow, and one that grows is one table.
  if (levelsMax > levels && vaBits > entryLog2(levelsMax))
    throw new RangeError(`${id}: ${vaBits} bits of input address: ${levelsMax} levels have ${entryLog2(levelsMax)}`);
  const field = address === 0n ? 2n : address / (address & -address);
  if ((field & (field + 1n)) !== 0n)
    throw new RangeError(`${id}: address 0x${address.toString(16)} is no contiguous field`);
}

/** Bits 31:0 as a signed Number, which is what an `Int32Array` holds. */
export function low(bits: bigint): number {
  return Number(BigInt.asIntN(32, bits));
}

/** Bits 63:32 as a signed Number. */
export function high(bits: bigint): number {
  return Number(BigInt.asIntN(32, bits >> 32n));
}

function lowestBit(bits: bigint): number {
  let n = 0;
  while (((bits >> BigInt(n)) & 1n) === 0n) n++;
  return n;
}
