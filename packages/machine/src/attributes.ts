/**
 * How memory wants to be reached, how a mapping reaches it, and what goes wrong where the two differ. Nothing here is
 * slower or faster: a mismatch is booked with its consequence.
 */
import type { MemoryType } from "@dma-buf/page-table";
import type { Topology } from "@dma-buf/pci";
import type { PhysicalMemory } from "./physical.js";

/** One mapping of memory by a CPU, or the part of it that has one owner. */
export interface AttributeRecord {
  readonly step: number;
  readonly by: string;
  readonly physical: number;
  readonly sizeBytes: number;
  /** What the owner wants; `null` where nobody owns the address. */
  readonly owner: MemoryType | null;
  /** What the access is in effect: both stages and the platform's own types combined. */
  readonly mapped: MemoryType;
  /** `null` where they agree. */
  readonly consequence: string | null;
}

/** A range whose owner wants another type than its kind of memory has: cacheable device memory. */
export interface DeclaredRange {
  readonly base: number;
  readonly sizeBytes: number;
  readonly type: MemoryType;
}

/** RAM is write-back, a BAR uncached, a prefetchable BAR write-combining at most; unless its owner says otherwise. */
export class MemoryAttributes {
  readonly records: AttributeRecord[] = [];
  readonly #memory: PhysicalMemory;
  readonly #topology: Topology;
  readonly #declared: DeclaredRange[] = [];

  constructor(memory: PhysicalMemory, topology: Topology) {
    this.#memory = memory;
    this.#topology = topology;
  }

  /** The last declaration of an address holds. */
  declare(range: DeclaredRange): void {
    this.#declared.unshift(range);
  }

  /** What the owner of a byte wants; `null` where nobody owns it. */
  ownerOf(physical: number): MemoryType | null {
    const declared = this.#declared.find((r) => covers(r, physical));
    if (declared) return declared.type;
    if (this.#memory.isRam(physical)) return "wb";
    for (const fn of this.#topology.functions)
      for (const bar of fn.bars)
        if (bar.space === "memory" && covers(bar, physical)) return bar.prefetchable ? "wc" : "uc";
    return null;
  }

  /** Notes a mapping, with what comes of it: a record for each part whose owner wants something else. */
  book(mapping: Omit<AttributeRecord, "owner" | "consequence">): void {
    for (const part of this.#parts(mapping.physical, mapping.physical + mapping.sizeBytes)) {
      const { owner } = part;
      this.records.push({ ...mapping, ...part, consequence: owner && consequenceOf(owner, mapping.mapped) });
    }
  }

  /** `[base, end)`, cut where the owner's type changes. */
  #parts(base: number, end: number): { physical: number; sizeBytes: number; owner: MemoryType | null }[] {
    const bars = this.#topology.functions.flatMap((fn) => fn.bars.filter((b) => b.space === "memory"));
    const edges = [...this.#declared, ...this.#memory.ram, ...bars]
      .flatMap((r) => [r.base, r.base + r.sizeBytes])
      .filter((at) => base < at && at < end);
    const starts = [base, ...edges.toSorted((a, b) => a - b)].filter(
      (at, i, all) => i === 0 || this.ownerOf(at) !== this.ownerOf(all[i - 1] as number),
    );
    return starts.map((physical, i) => ({
      physical,
      sizeBytes: (starts[i + 1] ?? end) - physical,
      owner: this.ownerOf(physical),
    }));
  }
}

/** What may come of it, or `null` where the mapping is as its owner wants it or stricter. */
export function consequenceOf(owner: MemoryType, mapped: MemoryType): string | null {
  if (owner === mapped || (owner === "wc" && mapped === "uc")) return null;
  if (owner === "wb") return "an access past the caches does not see what they hold, nor they what it wrote";
  if (mapped === "wc") return "stores are gathered and reordered, and loads may be speculative";
  return "whole lines are read speculatively, and dirty ones are written back late, even after a revoke";
}

/**
 * The type of an access through EPT: a leaf's type combined with the guest's PAT, unless the leaf says to ignore that.
 * The guest can always make it UC or WC, and never more cacheable than the leaf. Intel SDM volume 3, 30.3.7 and 13.5.2.
 */
export function effectiveEptType(leaf: MemoryType, guest: MemoryType, ignorePat = false): MemoryType {
  if (ignorePat || guest === "wb") return leaf;
  return leaf === "wb" || leaf === guest || guest === "uc" || guest === "wc" ? guest : "uc";
}

/**
 * The type of an access through NPT, which carries none: the guest's PAT against the host's MTRR, which is UC for MMIO.
 * AMD APM volume 2, 15.25.8.
 */
export function effectiveNptType(mtrr: MemoryType, guest: MemoryType): MemoryType {
  if (mtrr === "wb" || guest === "wc") return guest;
  return "uc";
}

function covers(range: { readonly base: number; readonly sizeBytes: number }, at: number): boolean {
  return range.base <= at && at < range.base + range.sizeBytes;
}
