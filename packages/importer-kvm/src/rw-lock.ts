/** A lock that spins, for many readers or one writer. Linux: `rwlock_t`, `mmu_lock` on x86; `slots_lock` is one without readers. */
import type { Op } from "@dma-buf/core";

export class RwLock {
  readonly #site: string;
  #readers = 0;
  #writer: string | null = null;

  /** `site`: the schedule point of every attempt, also of one that finds the lock free. */
  constructor(site: string) {
    this.#site = site;
  }

  /** For reading. Dispose what it gives once. */
  *read(who: string): Op<Disposable> {
    yield* this.#wait(() => this.#writer === null, who);
    this.#readers++;
    return once(() => this.#readers--);
  }

  /** For writing: alone. Not recursive. */
  *write(who: string): Op<Disposable> {
    yield* this.#wait(() => this.#writer === null && this.#readers === 0, who);
    this.#writer = who;
    return once(() => (this.#writer = null));
  }

  *#wait(ready: () => boolean, who: string): Op<void> {
    const holder = (): string => this.#writer ?? `${this.#readers} reader(s)`;
    yield { site: this.#site, ready, blockedOn: () => `${this.#site}, held by ${holder()}, wanted by ${who}` };
  }
}

function once(release: () => void): Disposable {
  let held = true;
  return {
    [Symbol.dispose]() {
      if (held) release();
      held = false;
    },
  };
}
