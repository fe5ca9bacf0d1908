/** The memory slots of a VM: by id, by guest frame, and which are on their way out. Linux: `struct kvm_memslots`. */
import { PAGE_SIZE } from "@dma-buf/core";
import { baseGfn, type Gfn, holds, type MemorySlot, pagesOf } from "./memslot.js";

/**
 * Every change puts a new set of slots in place in one step, and raises the generation: who looked before can tell.
 * Needs `slots_lock` of who changes it, nothing of who looks.
 */
export class SlotTable {
  /** By address space: sorted by guest frame, without overlaps. Never changed in place. */
  #spaces: readonly (readonly MemorySlot[])[] = [[], []];
  #generation = 0;

  /** Changes so far. What was cached under another one (an MMIO entry, a slot) is out of date. */
  get generation(): number {
    return this.#generation;
  }

  /** All slots, by address space and frame. */
  get all(): readonly MemorySlot[] {
    return this.#spaces.flat();
  }

  byId(addressSpace: number, id: number): MemorySlot | null {
    return this.#of(addressSpace).find((slot) => slot.id === id) ?? null;
  }

  /** The slot that holds a frame. */
  byGfn(addressSpace: number, gfn: Gfn): MemorySlot | null {
    const slots = this.#of(addressSpace);
    const slot = slots[slots.findLastIndex((s) => baseGfn(s) <= gfn)];
    return slot && holds(slot, gfn) ? slot : null;
  }

  /** Slots that have frames of `[start, end)`, by frame. */
  overlapping(addressSpace: number, start: Gfn, end: Gfn): readonly MemorySlot[] {
    return this.#of(addressSpace).filter((s) => baseGfn(s) < end && start < baseGfn(s) + pagesOf(s));
  }

  /** Slots over the process's addresses `[hva, hva + sizeBytes)`, of every address space: for its MMU notifier. */
  overHva(hva: number, sizeBytes: number): readonly MemorySlot[] {
    return this.all.filter((s) => s.hva < hva + sizeBytes && hva < s.hva + s.sizeBytes);
  }

  /**
   * Takes `old` out and puts `next` in, in one step; either may be `null`. The caller has checked that `next` overlaps
   * nothing but `old`.
   */
  replace(old: MemorySlot | null, next: MemorySlot | null): void {
    const addressSpace = (old ?? next)?.addressSpace ?? 0;
    const rest = this.#of(addressSpace).filter((slot) => slot !== old);
    const slots = next ? [...rest, next].toSorted((a, b) => a.gpa - b.gpa) : rest;
    this.#spaces = this.#spaces.with(addressSpace, slots);
    this.#generation++;
  }

  #of(addressSpace: number): readonly MemorySlot[] {
    return this.#spaces[addressSpace] ?? [];
  }
}

/** Where in the slot a frame lies, bytes. */
export function offsetIn(slot: MemorySlot, gfn: Gfn): number {
  return gfn * PAGE_SIZE - slot.gpa;
}
