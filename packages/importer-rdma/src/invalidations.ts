/** What took memory away while somebody asked where it is. Linux: `mmu_invalidate_seq`, `mmu_invalidate_in_progress`. */
import { type Op, until } from "@dma-buf/core";

export class Invalidations {
  #sequence = 0;
  #inProgress = 0;

  /** Grows with each that begins: an answer from before is not to be used. */
  get sequence(): number {
    return this.#sequence;
  }

  /** While `act` takes the memory away, nobody asks for it; whoever asked before must ask again. */
  *during(act: Op<void>): Op<void> {
    this.#sequence++;
    this.#inProgress++;
    try {
      yield* act;
    } finally {
      this.#inProgress--;
    }
  }

  /** None is under way. */
  *over(): Op<void> {
    yield* until(
      "rdma.invalidate_done",
      () => this.#inProgress === 0,
      () => "the invalidate under way",
    );
  }
}
