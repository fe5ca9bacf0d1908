/**
 * The protocol between a fault and an invalidate. A fault notes the sequence count, sleeps to find its page, and looks
 * again under `mmu_lock` before it installs: was its frame invalidated meanwhile, or is it being so? Linux: the
 * `mmu_invalidate_*` fields of `struct kvm`, `mmu_invalidate_retry_gfn()`.
 */
import { type Op, until } from "@dma-buf/core";
import type { Gfn } from "./memslot.js";
import { RwLock } from "./rw-lock.js";

/** Frames `[start, end)`. */
export interface GfnRange {
  readonly start: Gfn;
  readonly end: Gfn;
}

/** Which of the protocol's questions are asked: each left out is a bug to be seen. */
export interface RetryGuards {
  /** Has the sequence count changed? */
  readonly sequence: boolean;
  /** Is the frame being invalidated right now? */
  readonly inProgress: boolean;
}

export class MmuInvalidate {
  readonly lock: RwLock = new RwLock("kvm.mmu_lock");
  readonly #guards: RetryGuards;
  #sequence = 0;
  #inProgress = 0;
  /** One range around everything that is in progress; meaningless while nothing is. */
  #start = 0;
  #end = 0;

  constructor(guards: RetryGuards) {
    this.#guards = guards;
  }

  /** What a fault notes before it looks for its page. */
  get sequence(): number {
    return this.#sequence;
  }

  /** `mmu_lock` held for writing. No fault that noted its count before can install in `range` from here on. */
  begin(range: GfnRange): void {
    if (this.#inProgress++ > 0) return this.#widen(range);
    this.#start = range.start;
    this.#end = range.end;
  }

  /** More frames of an invalidate that has begun. `mmu_lock` held for writing. */
  #widen({ start, end }: GfnRange): void {
    this.#start = Math.min(this.#start, start);
    this.#end = Math.max(this.#end, end);
  }

  /** `mmu_lock` held for writing. The count first: whoever sees nothing in progress sees that it changed. */
  end(): void {
    this.#sequence++;
    this.#inProgress--;
  }

  /**
   * Must a fault on `gfn` that noted `sequence` try again? Exact with `mmu_lock` held. Without it the answer may be a
   * wrong "no", and is good for saving work only.
   */
  mustRetry(sequence: number, gfn: Gfn): boolean {
    if (this.#guards.inProgress && this.#covers(gfn)) return true;
    return this.#guards.sequence && sequence !== this.#sequence;
  }

  /** A vCPU that must retry enters the guest and faults until the invalidate is over: here it sleeps for as long. */
  *settled(gfn: Gfn): Op<void> {
    yield* until(
      "kvm.retry",
      () => !this.#covers(gfn),
      () => `the end of an invalidate of frame ${gfn}`,
    );
  }

  #covers(gfn: Gfn): boolean {
    return this.#inProgress > 0 && this.#start <= gfn && gfn < this.#end;
  }
}
