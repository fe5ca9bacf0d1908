/**
 * The loop that writes leaves. A 64-bit store from JavaScript is a `Float64Array`'s, so entries are stored as the doubles
 * that have their bits, and the next one is made by an addition. That is exact: consecutive entries of a run differ in
 * the address alone, which ends below bit 52 and so lies in the mantissa, and the exponent, bits 62:52, stays as it is. A
 * double whose exponent is all ones is a NaN and may not keep its bits; such entries are written as two halves.
 */
import { WORD } from "./layout.js";

const NAN_EXPONENT = 0x7ff0_0000;

/** Two views of the same bytes. */
export interface Views {
  readonly words: Int32Array;
  readonly doubles: Float64Array;
}

/** Leaves of one size for consecutive addresses. */
export interface LeafRun {
  /** Bits 31:0 and 63:32 of the first leaf's entry. */
  readonly lo: number;
  readonly hi: number;
  /** What the address field of an entry grows by, from leaf to leaf. */
  readonly stride: number;
  /** Entries that a leaf takes: more than one if it is larger than what an entry of its level covers. */
  readonly copies: number;
}

/**
 * Writes a run of leaves, piece by piece where its tables are. One for each page table: it keeps where the run is.
 * @example
 * const words = new Int32Array(16);
 * const writer = new LeafWriter({ words, doubles: new Float64Array(words.buffer) });
 * writer.begin({ lo: 0x5003, hi: 0, stride: 4096, copies: 1 });
 * writer.write(1, 2);
 * writer.write(6, 1);
 * [words[2], words[4], words[12]]; // [0x5003, 0x6003, 0x7003]
 */
export class LeafWriter {
  // Fields of its own, not the objects that it was given: those may have any shape, and a loop wants one.
  readonly #words: Int32Array;
  readonly #doubles: Float64Array;
  /** To make a double of two halves. */
  readonly #half = new Int32Array(2);
  readonly #double = new Float64Array(this.#half.buffer);
  #lo = 0;
  #hi = 0;
  #stride = 0;
  #copies = 1;
  #isNumber = true;
  /** The next leaf's entry, and how far the one after it is. */
  #value = 0.5;
  #step = 0.5;
  /** Leaves written: where a run that is no number is. */
  #written = 0;

  constructor({ words, doubles }: Views) {
    this.#words = words;
    this.#doubles = doubles;
  }

  /** From here on, leaves are this run's. */
  begin({ lo, hi, stride, copies }: LeafRun): void {
    this.#lo = lo;
    this.#hi = hi;
    this.#stride = stride;
    this.#copies = copies;
    this.#written = 0;
    this.#isNumber = (hi & NAN_EXPONENT) !== NAN_EXPONENT;
    this.#value = this.#at(0);
    this.#step = this.#at(stride) - this.#value;
  }

  /** Writes the next `leaves` leaves from entry `at` of the memory on. */
  write(at: number, leaves: number): void {
    const doubles = this.#doubles;
    if (!this.#isNumber) this.#writeHalves(at, leaves);
    else if (this.#copies === 1) this.#value = fill(doubles, at, at + leaves, this.#value, this.#step);
    else this.#value = fillCopies(doubles, at, leaves, this.#copies, this.#value, this.#step);
  }

  /** The entry whose address is `further` than the first's, as a double. */
  #at(further: number): number {
    storeHalves(this.#half, 0, this.#lo, this.#hi, further);
    return this.#double[0] as number;
  }

  #writeHalves(at: number, leaves: number): void {
    for (let i = 0; i < leaves * this.#copies; i++) {
      const further = (this.#written + Math.floor(i / this.#copies)) * this.#stride;
      storeHalves(this.#words, at + i, this.#lo, this.#hi, further);
    }
    this.#written += leaves;
  }
}

/** Sixteen stores a turn: what a turn costs, checks and where the array lies, is then paid once. @returns the next value */
function fill(doubles: Float64Array, from: number, end: number, first: number, step: number): number {
  // The conversions tell the compiler, once, that these are numbers and stay so: without them each is a heap object.
  let at = from | 0;
  let value = first * 1;
  const last = (end | 0) - 15;
  const step2 = step + step;
  const step3 = step2 + step;
  const step4 = step2 + step2;
  for (; at < last; at += 16) {
    const second = value + step4;
    const third = second + step4;
    const fourth = third + step4;
    doubles[at] = value;
    doubles[at + 1] = value + step;
    doubles[at + 2] = value + step2;
    doubles[at + 3] = value + step3;
    doubles[at + 4] = second;
    doubles[at + 5] = second + step;
    doubles[at + 6] = second + step2;
    doubles[at + 7] = second + step3;
    doubles[at + 8] = third;
    doubles[at + 9] = third + step;
    doubles[at + 10] = third + step2;
    doubles[at + 11] = third + step3;
    doubles[at + 12] = fourth;
    doubles[at + 13] = fourth + step;
    doubles[at + 14] = fourth + step2;
    doubles[at + 15] = fourth + step3;
    value = fourth + step4;
  }
  for (; at < end; at++) {
    doubles[at] = value;
    value += step;
  }
  return value;
}

/** Leaves that stand in several entries each. @returns the next value */
function fillCopies(
  doubles: Float64Array,
  from: number,
  leaves: number,
  copies: number,
  first: number,
  step: number,
): number {
  let value = first;
  for (let i = 0, at = from; i < leaves; i++, at += copies, value += step) doubles.fill(value, at, at + copies);
  return value;
}

function storeHalves(words: Int32Array, at: number, lo: number, hi: number, further: number): void {
  const sum = (lo >>> 0) + further;
  words[2 * at] = sum;
  words[2 * at + 1] = hi + Math.floor(sum / WORD);
}
