import type { Run } from "@dma-buf/core";

/** What all runs of a list have in common: the kind of address, its space, its attributes. */
export type Common = Run extends infer R
  ? R extends Run
    ? Omit<R, "offset" | "sizeBytes" | "address">
    : never
  : never;

/**
 * The largest page-aligned length that a segment's 32 bits hold, bytes: longer ones are split there, as Linux does.
 * @example
 * SEGMENT_BYTES_MAX % 4096; // 0
 */
export const SEGMENT_BYTES_MAX = 0xffff_f000;

/** How a list is made. */
export interface ScatterListOptions {
  /** How many segments to make room for at once. @defaultValue 128, then doubling */
  readonly capacity?: number;
  /** A segment that is longer is split. Bytes. @defaultValue {@link SEGMENT_BYTES_MAX} */
  readonly segmentBytesMax?: number;
}

/**
 * Segments of one buffer, in the order of its bytes, all of one kind. 12 bytes a segment. Append-only, owned by whoever
 * made it. Linux: a `sg_table` of which only the DMA side is used.
 * @example
 * const list = new ScatterList({ kind: "dma" });
 * list.append(0x10_0000, 4096);
 * list.append(0x10_1000, 4096);
 * list.coalesce().length; // 1
 * [...list][1]; // { kind: "dma", offset: 4096, sizeBytes: 4096, address: 0x101000 }
 */
export class ScatterList implements Iterable<Run> {
  readonly common: Common;
  readonly segmentBytesMax: number;
  #addresses: Float64Array;
  #sizes: Uint32Array;
  #length = 0;
  #sizeBytes = 0;
  /** Offsets of the segments, made when one is first looked for, gone at the next append. */
  #offsets: Float64Array | null = null;

  /** @throws RangeError for a `segmentBytesMax` that is not a whole number from 1 to 2^32 - 1. */
  constructor(common: Common, { capacity = 128, segmentBytesMax = SEGMENT_BYTES_MAX }: ScatterListOptions = {}) {
    if (!Number.isInteger(segmentBytesMax) || segmentBytesMax < 1 || segmentBytesMax > 0xffff_ffff)
      throw new RangeError(`segmentBytesMax ${segmentBytesMax}: a segment has 32 bits of length, give 1 to 2^32 - 1`);
    this.common = common;
    this.segmentBytesMax = segmentBytesMax;
    this.#addresses = new Float64Array(capacity);
    this.#sizes = new Uint32Array(capacity);
  }

  /** Segments. */
  get length(): number {
    return this.#length;
  }

  /** Bytes that the segments cover. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Bytes of memory that the list takes now: 12 a segment of capacity, and 8 a segment once a byte was looked for. */
  get memoryBytes(): number {
    return this.#addresses.byteLength + this.#sizes.byteLength + (this.#offsets?.byteLength ?? 0);
  }

  /** The addresses, a view: for loops that want no object a segment. Valid until the next append. */
  get addresses(): Float64Array {
    return this.#addresses.subarray(0, this.#length);
  }

  /** The sizes, bytes, as {@link addresses}. */
  get sizes(): Uint32Array {
    return this.#sizes.subarray(0, this.#length);
  }

  /**
   * Adds the next bytes of the buffer. Split where longer than `segmentBytesMax`, never merged: {@link coalesce} does.
   * @throws RangeError for an address below 0 or beyond 2^53, or a size that is not a whole number above 0.
   */
  append(address: number, sizeBytes: number): void {
    if (!(address >= 0 && sizeBytes > 0 && Number.isSafeInteger(address + sizeBytes) && Number.isInteger(sizeBytes)))
      throw new RangeError(`segment of ${sizeBytes} bytes at ${address}: whole bytes, at least 1, all below 2^53`);
    const max = this.segmentBytesMax;
    let left = sizeBytes;
    for (; left > max; left -= max) this.#push(address + sizeBytes - left, max);
    this.#push(address + sizeBytes - left, left);
    this.#sizeBytes += sizeBytes;
    this.#offsets = null;
  }

  /** A list in which neighbours whose addresses follow each other are one segment, as far as `segmentBytesMax` allows. */
  coalesce(): ScatterList {
    const { segmentBytesMax } = this;
    const out = new ScatterList(this.common, { segmentBytesMax });
    const [addresses, sizes] = [this.#addresses, this.#sizes];
    // The segment that is being made is kept in locals until it is known to be done.
    let address = addresses[0] ?? 0;
    let size = 0;
    for (let i = 0; i < this.#length; i++) {
      const next = addresses[i] as number;
      const more = sizes[i] as number;
      if (next !== address + size || more > segmentBytesMax - size) {
        out.#push(address, size);
        address = next;
        size = 0;
      }
      size += more;
    }
    if (size > 0) out.#push(address, size);
    out.#sizeBytes = this.#sizeBytes;
    return out;
  }

  /** The segment with byte `offset` of the buffer in it; -1 when the list does not reach it. In log2(length) steps. */
  indexOf(offset: number): number {
    if (!(offset >= 0 && offset < this.#sizeBytes)) return -1;
    const offsets = (this.#offsets ??= this.#sum());
    let low = 0;
    for (let high = this.#length - 1; low < high; ) {
      const middle = (low + high + 1) >>> 1;
      if ((offsets[middle] as number) <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** The segment at `index` as a run. @throws RangeError when there is none. */
  runAt(index: number): Run {
    if (!(Number.isInteger(index) && index >= 0 && index < this.#length))
      throw new RangeError(`segment ${index} of ${this.#length}: give 0 to ${this.#length - 1}`);
    return this.#run(index, (this.#offsets ??= this.#sum())[index] as number);
  }

  /** The runs that bytes `offset` to `offset + sizeBytes` touch, whole. */
  *overlapping(offset: number, sizeBytes: number): Generator<Run, void, void> {
    // From the start nothing need be looked for.
    const first = offset <= 0 ? 0 : this.indexOf(offset);
    if (first < 0) return;
    let at = first === 0 ? 0 : ((this.#offsets as Float64Array)[first] as number);
    for (let i = first; i < this.#length && at < offset + sizeBytes; at += this.#sizes[i++] as number)
      yield this.#run(i, at);
  }

  *[Symbol.iterator](): Generator<Run, void, void> {
    yield* this.overlapping(0, this.#sizeBytes);
  }

  #push(address: number, sizeBytes: number): void {
    if (this.#length === this.#addresses.length) this.#grow();
    this.#addresses[this.#length] = address;
    this.#sizes[this.#length++] = sizeBytes;
  }

  #grow(): void {
    const capacity = Math.max(1, 2 * this.#length);
    const [addresses, sizes] = [new Float64Array(capacity), new Uint32Array(capacity)];
    addresses.set(this.#addresses);
    sizes.set(this.#sizes);
    this.#addresses = addresses;
    this.#sizes = sizes;
  }

  #run(index: number, offset: number): Run {
    const sizeBytes = this.#sizes[index] as number;
    return { ...this.common, offset, sizeBytes, address: this.#addresses[index] } as Run;
  }

  #sum(): Float64Array {
    const offsets = new Float64Array(this.#length);
    for (let i = 1; i < this.#length; i++) offsets[i] = (offsets[i - 1] as number) + (this.#sizes[i - 1] as number);
    return offsets;
  }
}
