/** How the process tells KVM before its pages change. Linux: `struct mmu_notifier_ops`, `kvm_mmu_notifier_invalidate_range_start()`. */
import { type Op, until } from "@dma-buf/core";

/** Bytes of the process, whole pages. */
export interface Area {
  readonly hva: number;
  readonly sizeBytes: number;
}

/** `invalidate_range_start`; what it gives is `invalidate_range_end`. */
export type RangeStart = (area: Area) => Op<() => Op<void>>;

export class MmuNotifier {
  readonly #start: RangeStart;
  /** Between their start and their end. Linux: `mn_active_invalidate_count`. */
  #active = 0;

  constructor(start: RangeStart) {
    this.#start = start;
  }

  /** Tells, runs `change`, and tells that it is over, also if it throws or is ended. */
  *around(area: Area, change: () => Op<void>): Op<void> {
    this.#active++;
    try {
      const end = yield* this.#start(area);
      try {
        yield* change();
      } finally {
        yield* end();
      }
    } finally {
      this.#active--;
    }
  }

  /**
   * Sleeps until none is under way: one that began before a slot was there did not tell of its frames, and the slot must
   * not come before its end. Linux: `kvm_swap_active_memslots()`.
   */
  *quiet(): Op<void> {
    yield* until(
      "kvm.mn_memslots_update",
      () => this.#active === 0,
      () => `the end of ${this.#active} MMU notifier(s)`,
    );
  }
}
