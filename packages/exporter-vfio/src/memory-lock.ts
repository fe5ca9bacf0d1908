/**
 * `memory_lock` of a vfio-pci device: a lock that many may read or one may write under. It is taken before any
 * reservation, never inside one.
 */
import { type Op, point, type Scheduler, until } from "@dma-buf/core";

const SITE = "vfio.memory_lock";

export class MemoryLock {
  readonly #scheduler: Scheduler;
  readonly #readers: string[] = [];
  #writer: string | null = null;

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  /** Sleeps until nobody writes. `why` is what a deadlock's finding says of the holder. */
  *read(why: string): Op<Disposable> {
    yield* point(SITE);
    yield* until(
      SITE,
      () => this.#writer === null,
      () => this.#holders,
    );
    const who = this.#named(why);
    this.#readers.push(who);
    return givenBackOnce(() => this.#readers.splice(this.#readers.indexOf(who), 1));
  }

  /** Sleeps until nobody reads or writes. */
  *write(why: string): Op<Disposable> {
    yield* point(SITE);
    yield* until(
      SITE,
      () => this.#free,
      () => this.#holders,
    );
    return this.#take(why);
  }

  /** Takes it if it is free; does not sleep. */
  tryWrite(why: string): Disposable | null {
    return this.#free ? this.#take(why) : null;
  }

  #take(why: string): Disposable {
    this.#writer = this.#named(why);
    return givenBackOnce(() => (this.#writer = null));
  }

  get #free(): boolean {
    return this.#writer === null && this.#readers.length === 0;
  }

  get #holders(): string {
    return `memory_lock, held for ${[...this.#readers, ...(this.#writer ? [this.#writer] : [])].join(", ")}`;
  }

  #named(why: string): string {
    return `${why} by ${this.#scheduler.current?.name ?? "nobody's task"}`;
  }
}

/** Whoever gives back twice must not give back what is somebody else's by then. */
function givenBackOnce(giveBack: () => unknown): Disposable {
  let isHeld = true;
  return {
    [Symbol.dispose](): void {
      if (isHeld) giveBack();
      isHeld = false;
    },
  };
}
