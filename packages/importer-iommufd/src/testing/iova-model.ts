/** The address side without any interval: a few units, and what each of them is. */
import type { AreaSpan } from "../area-span.js";
import { U64_MAX } from "../u64.js";

export const UNITS = 64;
/** Bytes: half a page, as the mock domain's. */
export const UNIT = 0x800n;
const PAGE = 0x1000n;

export class IovaModel {
  /** IOVA of the first unit. */
  readonly base: bigint;
  readonly area: (AreaSpan | null)[] = Array.from({ length: UNITS }, () => null);
  /** A bit for each owner. */
  readonly reserved: number[] = Array.from({ length: UNITS }, () => 0);
  /** null: everywhere. */
  allowed: readonly boolean[] | null = null;
  alignment = 1n;

  constructor(base: bigint) {
    this.base = base;
  }

  iova(unit: number): bigint {
    return this.base + BigInt(unit) * UNIT;
  }

  /** Units of an area, or of any range of units. */
  *units(from: bigint, last: bigint): Generator<number> {
    for (let i = Number((from - this.base) / UNIT); i <= Number((last - this.base) / UNIT); i++) yield i;
  }

  /** Is anything so in the units that are in the model? */
  some(at: number, units: number, is: (i: number) => boolean): boolean {
    for (let i = at; i < Math.min(at + units, UNITS); i++) if (is(i)) return true;
    return false;
  }

  isReserved(at: number, units: number): boolean {
    return this.some(at, units, (i) => this.reserved[i] !== 0);
  }

  isMapped(at: number, units: number): boolean {
    return this.some(at, units, (i) => this.area[i] !== null);
  }

  isAllowed(at: number, units: number): boolean {
    return this.some(at, units, (i) => this.allowed?.[i] ?? false);
  }

  /** What FIXED answers: an errno, or ok. */
  fixed(at: number, units: number): string {
    const isOdd = units === 0 || [this.iova(at), BigInt(units) * UNIT].some((value) => value % this.alignment !== 0n);
    if (isOdd) return "EINVAL";
    const isBeyond = at + units > UNITS;
    if (isBeyond && this.iova(UNITS) > U64_MAX) return "EOVERFLOW";
    if (isBeyond || this.isReserved(at, units)) return "EINVAL";
    return this.isMapped(at, units) ? "EEXIST" : "ok";
  }

  /** Where the kernel chooses, by trying every unit in turn: an IOVA, or an errno. */
  firstFit(units: number, hint: bigint): bigint | string {
    const length = BigInt(units) * UNIT;
    if (units === 0 || length % this.alignment !== 0n) return "EINVAL";
    let wanted = 1n;
    while (wanted < length) wanted *= 2n;
    while (hint % wanted !== 0n) wanted /= 2n;
    if (wanted < this.alignment) return "EINVAL";
    for (let at = 0; at + units <= UNITS; at++)
      if (this.#fits(this.iova(at), wanted, hint % PAGE) && this.#isFree(at, units)) return this.iova(at);
    return "ENOSPC";
  }

  /** Aligned, but for the bits that say where in its page the hint is. */
  #fits(iova: bigint, wanted: bigint, offset: bigint): boolean {
    return (iova & offset) === offset && (iova - offset) % wanted === 0n;
  }

  #isFree(at: number, units: number): boolean {
    const first = this.iova(at);
    const last = first + BigInt(units) * UNIT - 1n;
    if (first < PAGE || last > U64_MAX - PAGE) return false;
    const isTaken = (i: number): boolean =>
      this.area[i] !== null || this.reserved[i] !== 0 || !(this.allowed?.[i] ?? true);
    return !this.some(at, units, isTaken);
  }
}
