/** Translations as a cache holds them: whole leaves, with what they allow. An IOTLB is one a domain, an ATC one a device. */
import { addr, type PhysAddr } from "@dma-buf/core";
import type { MemoryType } from "@dma-buf/page-table";

/** A leaf that a walk ended at, or the page of an address that passes through. Bytes. */
export interface CachedLeaf {
  /** The first address that it translates. */
  readonly base: number;
  readonly sizeBytes: number;
  /** Where `base` leads. */
  readonly physical: number;
  readonly read: boolean;
  readonly write: boolean;
  /** Not given: the format has none. */
  readonly cache?: MemoryType;
}

/** Answers what it once saw until it is dropped. Leaves of any size; entries of different sizes may overlap. */
export class TranslationCache {
  /** By size: a lookup asks once for each size that is there, and not for each leaf. */
  readonly #bySize = new Map<number, Map<number, CachedLeaf>>();

  /** The leaf that allows `access` at `address`. One that is cached read-only does not answer for a write. */
  lookup(address: number, access: "read" | "write"): CachedLeaf | null {
    for (const [size, leaves] of this.#bySize) {
      const leaf = leaves.get(address - (address % size));
      if (leaf?.[access]) return leaf;
    }
    return null;
  }

  keep(leaf: CachedLeaf): void {
    let leaves = this.#bySize.get(leaf.sizeBytes);
    if (!leaves) this.#bySize.set(leaf.sizeBytes, (leaves = new Map()));
    leaves.set(leaf.base, leaf);
  }

  /** Drops whatever has a byte in the range. */
  drop(address: number, sizeBytes: number): void {
    for (const leaves of this.#bySize.values())
      for (const { base, sizeBytes: size } of leaves.values())
        if (base < address + sizeBytes && address < base + size) leaves.delete(base);
  }

  /** Leaves held. */
  get size(): number {
    return [...this.#bySize.values()].reduce((n, leaves) => n + leaves.size, 0);
  }
}

/** Where `address` leads by a leaf that covers it. */
export function through(leaf: CachedLeaf, address: number): PhysAddr {
  return addr<PhysAddr>(leaf.physical + (address - leaf.base));
}
