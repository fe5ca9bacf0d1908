/** Which guest frames are private. Linux: `KVM_SET_MEMORY_ATTRIBUTES`, `kvm->mem_attr_array`. */
import { type Op, PAGE_SHIFT, PAGE_SIZE } from "@dma-buf/core";
import type { Gfn } from "./memslot.js";
import type { GfnRange } from "./mmu.js";
import { needBigints, refuse } from "./refuse.js";
import type { RegionRules } from "./region.js";
import { isU64, KVM_MEMORY_ATTRIBUTE, type MemoryAttributesRequest } from "./uapi.js";
import type { InvalidateGfns } from "./zap.js";

const OP = "KVM_SET_MEMORY_ATTRIBUTES";
const PAGE = BigInt(PAGE_SIZE);
const SHIFT = BigInt(PAGE_SHIFT);

/** A request whose numbers are in order. */
export interface CheckedAttributes extends GfnRange {
  readonly isPrivate: boolean;
}

/** @throws DmaBufError `EINVAL` at stage `memslot`: flags, attributes that this VM has not, an empty, wrapping or unaligned range */
export function checkAttributes(
  request: MemoryAttributesRequest,
  { privateMemory }: Pick<RegionRules, "privateMemory">,
): CheckedAttributes {
  const { address, size, attributes, flags } = request;
  needBigints(OP, { address, size, attributes, flags });
  const supported = privateMemory ? KVM_MEMORY_ATTRIBUTE.PRIVATE : 0n;
  if (flags !== 0n) invalid(`flags ${show(flags)}: there are none yet, give 0`, { flags });
  if ((attributes & ~supported) !== 0n)
    invalid(`attributes ${show(attributes)}: this VM knows ${show(supported)}`, { attributes, supported });
  if (!isU64(address) || !isU64(size) || size === 0n || address + size >= 2n ** 64n)
    invalid(`${show(address)} + ${show(size)} is empty or wraps: give at least a page below 2^64`, { address, size });
  if (address % PAGE !== 0n || size % PAGE !== 0n)
    invalid(`${show(address)} and ${show(size)} are not whole pages of ${PAGE_SIZE}: align both`, { address, size });
  const start = Number(address >> SHIFT);
  return { start, end: start + Number(size >> SHIFT), isPrivate: attributes === KVM_MEMORY_ATTRIBUTE.PRIVATE };
}

/**
 * The frames of a VM that are private; all others are shared, also those without a slot. Kept as ranges: what it costs
 * depends on how often private and shared alternate, not on how many frames there are.
 */
export class MemoryAttributes {
  /** Where private and shared alternate, ascending: even places begin private, odd ones end it. */
  #edges: readonly Gfn[] = [];

  /** Private ranges, ascending. */
  get privateRanges(): readonly GfnRange[] {
    const starts = this.#edges.filter((_, i) => i % 2 === 0);
    return starts.map((start, i) => ({ start, end: this.#edges[2 * i + 1] as Gfn }));
  }

  isPrivate(gfn: Gfn): boolean {
    return this.#countUpTo(gfn) % 2 === 1;
  }

  /** Have all frames of `[start, end)` the same value? Linux: `kvm_range_has_memory_attributes()`, `KVM_LPAGE_MIXED_FLAG`. */
  isUniform(start: Gfn, end: Gfn): boolean {
    return this.#countUpTo(start) === this.#countUpTo(end - 1);
  }

  /** Do all frames of the range have this value already? */
  has({ start, end, isPrivate }: CheckedAttributes): boolean {
    return this.isUniform(start, end) && this.isPrivate(start) === isPrivate;
  }

  /** Does not zap anything: {@link setMemoryAttributes} does. */
  store({ start, end, isPrivate }: CheckedAttributes): void {
    const before = this.#edges.slice(0, this.#countUpTo(start - 1));
    const after = this.#edges.slice(this.#countUpTo(end));
    // An edge is where the value changes, so at either end there is one only if the neighbour has another value.
    const opens = (before.length % 2 === 1) !== isPrivate ? [start] : [];
    const closes = (after.length % 2 === 1) !== isPrivate ? [end] : [];
    this.#edges = [...before, ...opens, ...closes, ...after];
  }

  /** Edges at or before `gfn`. */
  #countUpTo(gfn: Gfn): number {
    let low = 0;
    let high = this.#edges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#edges[middle] as Gfn) <= gfn) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/**
 * Makes frames private or shared. Nothing happens where they are so already; else what the guest has of the *other* value
 * there is zapped first, so that no access goes on to the page that the frame had. Needs `slots_lock`; sleeps.
 * @param alloc the store is an allocation, and may fail
 * @throws DmaBufError as {@link checkAttributes}, and `ENOMEM`; nothing changed
 */
export function* setMemoryAttributes(
  attributes: MemoryAttributes,
  request: CheckedAttributes,
  alloc: () => void,
  invalidate: InvalidateGfns,
): Op<void> {
  if (attributes.has(request)) return;
  alloc();
  yield* invalidate([request], request.isPrivate ? "shared" : "private", () => attributes.store(request));
}

function show(value: bigint): string {
  return `0x${value.toString(16)}`;
}

function invalid(message: string, values: Record<string, unknown>): never {
  return refuse("EINVAL", OP, message, values);
}
