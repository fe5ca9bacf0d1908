/** The list of fences in a reservation: where one goes, how much room there is, and how to walk it without the lock. */
import type { DmaFence } from "./fence.js";
import type { Usage } from "./usage.js";

/** A fence and what it is for. */
export interface Slot {
  readonly fence: DmaFence;
  readonly usage: Usage;
}

/** Another object each time it is made anew; the slots change only under the lock. */
export interface SlotList {
  readonly slots: Slot[];
  /** Room; falls back to what is used at unlock. */
  max: number;
}

const HEADER_BYTES = 24;
const SLOT_BYTES = 8;

/** The room that reserving `n` more than `used` makes: at least doubled, then what the slab's bucket has anyway. */
export function capacityFor(n: number, used: number, max: number): number {
  const wanted = max > 0 ? Math.max(used + n, 2 * max) : Math.max(4, 2 ** Math.ceil(Math.log2(n)));
  return (bucketBytes(HEADER_BYTES + wanted * SLOT_BYTES) - HEADER_BYTES) / SLOT_BYTES;
}

/** Powers of two, and 96 and 192. Linux: the sizes of `kmalloc()`. */
function bucketBytes(bytes: number): number {
  const power = 2 ** Math.ceil(Math.log2(bytes));
  const between = (power * 3) / 4;
  return (power === 128 || power === 256) && bytes <= between ? between : power;
}

/** The first slot that is done, or of the same context, not stronger and not later; -1: none. */
export function slotFor(slots: readonly Slot[], fence: DmaFence, usage: Usage): number {
  const replaces = ({ fence: old, usage: strength }: Slot): boolean =>
    old.context === fence.context && strength >= usage && (old === fence || !old.isLater(fence));
  return slots.findIndex((s) => s.fence.signaled || replaces(s));
}

/**
 * Walks the unsignalled fences without the lock. It starts again when the list was made anew meanwhile; then
 * {@link restarted} is true, and what was gathered so far must be forgotten. Between two steps others may run.
 * @example
 * const cursor = buf.resv.forEachUnlocked(Usage.BOOKKEEP);
 * for (let slot = cursor.next(); slot; slot = cursor.next()) console.log(slot.fence.describe(), cursor.restarted);
 */
export class FenceCursor {
  readonly #resv: { readonly list: SlotList | null };
  readonly #usage: Usage;
  #list: SlotList | null = null;
  #next = 0;
  /** Is the fence of the last {@link next} the first after a (re)start? */
  restarted = false;

  constructor(resv: { readonly list: SlotList | null }, usage: Usage) {
    this.#resv = resv;
    this.#usage = usage;
  }

  /** The next one, or `null` at the end. */
  next(): Slot | null {
    this.restarted = this.#list === null || this.#list !== this.#resv.list;
    if (this.restarted) {
      this.#list = this.#resv.list;
      this.#next = 0;
    }
    for (let slot = this.#list?.slots[this.#next++]; slot; slot = this.#list?.slots[this.#next++])
      if (slot.usage <= this.#usage && !slot.fence.signaled) return slot;
    return null;
  }
}
