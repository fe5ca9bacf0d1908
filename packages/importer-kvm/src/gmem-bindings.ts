/** Which slots have which pages of a guest_memfd. Linux: `gmem->bindings`. */
import { baseGfn, type MemorySlot, pagesOf } from "./memslot.js";
import type { GfnRange } from "./mmu.js";
import { refuse } from "./refuse.js";

/** A slot with its pages of the file, `[first, end)`. */
interface GmemBinding {
  readonly slot: MemorySlot;
  readonly first: number;
  readonly end: number;
}

/** No page is of two slots: who adds has asked {@link GmemBindings.check}. Changed with the file's lock held. */
export class GmemBindings {
  /** Never changed in place: a walk over it goes on over what it began with. */
  #all: readonly GmemBinding[] = [];

  get slots(): readonly MemorySlot[] {
    return this.#all.map((b) => b.slot);
  }

  /**
   * May a slot have these pages of a file of `filePages`?
   * @throws DmaBufError at stage `memslot`: `EINVAL` beyond its end · `EEXIST` another slot has a part of them
   */
  check(first: number, pages: number, filePages: number): void {
    const end = first + pages;
    const refused = (code: "EINVAL" | "EEXIST", why: string): never =>
      refuse(code, "kvm_gmem_bind", why, { first, pages });
    if (end > filePages) refused("EINVAL", `page ${end - 1} is beyond the file's ${filePages}: lower offset or size`);
    const [other] = this.#overlapping(first, end);
    if (other) refused("EEXIST", `slot ${other.slot.id} has pages ${other.first} to ${other.end - 1}: delete it first`);
  }

  add(slot: MemorySlot, first: number): void {
    this.#all = [...this.#all, { slot, first, end: first + pagesOf(slot) }];
  }

  /** Nothing to do when it is not bound. */
  remove(slot: MemorySlot): void {
    this.#all = this.#all.filter((b) => b.slot !== slot);
  }

  clear(): void {
    this.#all = [];
  }

  /** Is this page of the file the slot's? */
  has(slot: MemorySlot, index: number): boolean {
    return this.#all.some((b) => b.slot === slot && b.first <= index && index < b.end);
  }

  /** The guest's frames that pages `[first, end)` of the file are. */
  gfnsOf(first: number, end: number): readonly GfnRange[] {
    return this.#overlapping(first, end).map((b) => {
      const base = baseGfn(b.slot) - b.first;
      return { start: base + Math.max(first, b.first), end: base + Math.min(end, b.end) };
    });
  }

  #overlapping(first: number, end: number): readonly GmemBinding[] {
    return this.#all.filter((b) => b.first < end && first < b.end);
  }
}
