/** A device's own translations, got by ATS. The IOMMU cannot look into them: it asks the device to drop them. */
import { type Op, until } from "@dma-buf/core";
import { type CachedLeaf, TranslationCache } from "./cache.js";

export class DeviceTlb {
  readonly #device: string;
  readonly #cache = new TranslationCache();
  #invalidations = 0;
  #using = 0;

  constructor(device: string) {
    this.#device = device;
  }

  lookup(address: number, access: "read" | "write"): CachedLeaf | null {
    return this.#cache.lookup(address, access);
  }

  /**
   * Takes a reply. One that was asked for before an invalidation is not taken: the IOTLB was flushed first, so asking
   * again gets the new answer.
   * @param asked what {@link invalidations} was when the translation was asked for
   * @returns was it taken?
   */
  keep(leaf: CachedLeaf, asked: number): boolean {
    if (asked !== this.#invalidations) return false;
    this.#cache.keep(leaf);
    return true;
  }

  /** Invalidations so far. */
  get invalidations(): number {
    return this.#invalidations;
  }

  /** Drops leaves in the range, or all. Requests that use one are on their way still: {@link drain}. */
  invalidate(address: number, sizeBytes: number): void {
    this.#invalidations++;
    this.#cache.drop(address, sizeBytes);
  }

  invalidateAll(): void {
    this.invalidate(0, Number.MAX_SAFE_INTEGER);
  }

  /** Counts a request as under way by a cached leaf, until its end. */
  *use<T>(op: Op<T>): Op<T> {
    this.#using++;
    try {
      return yield* op;
    } finally {
      this.#using--;
    }
  }

  /** Sleeps until the requests that {@link use} counts have ended: before, the device does not complete. */
  *drain(): Op<void> {
    yield* until(
      "ats.invalidate.complete",
      () => this.#using === 0,
      () => `${this.#using} translated requests of ${this.#device}`,
    );
  }

  /** Leaves held. */
  get size(): number {
    return this.#cache.size;
  }
}
