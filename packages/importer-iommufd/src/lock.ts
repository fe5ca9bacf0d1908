/** The sleeping locks of iommufd: `domains_rwsem` of an IOAS, and `mutex` of a backing, which is written only. */
import { type Op, point, type Scheduler, until } from "@dma-buf/core";

/**
 * Many may read, or one may write. Order: `domains_rwsem`, then a buffer's reservation, then `pages->mutex`. `iova_rwsem`,
 * which stands between the first two in Linux, is not here: under it nothing sleeps, so a step of the scheduler is it.
 * @example
 * const { domainsLock } = iommufd.createIoas().iopt;
 * using _held = yield* domainsLock.read();
 * domainsLock.site; // "iommufd.domains_rwsem"
 */
export class Lock {
  readonly site: string;
  readonly #scheduler: Scheduler;
  readonly #readers: string[] = [];
  #writer: string | null = null;

  /** `site`: where who waits stands. */
  constructor(site: string, scheduler: Scheduler) {
    this.site = site;
    this.#scheduler = scheduler;
  }

  /** Sleeps until nobody writes. Given back once. */
  *read(): Op<Disposable> {
    yield* point(this.site);
    const free = (): boolean => this.#writer === null;
    yield* until(this.site, free, () => `${this.site}, held by ${this.#writer}`);
    const who = this.#who();
    this.#readers.push(who);
    return givenBack(() => this.#readers.splice(this.#readers.indexOf(who), 1));
  }

  /** Sleeps until nobody reads or writes. Given back once. */
  *write(): Op<Disposable> {
    yield* point(this.site);
    const free = (): boolean => this.#writer === null && this.#readers.length === 0;
    yield* until(this.site, free, () => `${this.site}, held by ${[this.#writer ?? this.#readers].flat().join(", ")}`);
    this.#writer = this.#who();
    return givenBack(() => (this.#writer = null));
  }

  #who(): string {
    return this.#scheduler.current?.name ?? "nobody's task";
  }
}

function givenBack(giveBack: () => unknown): Disposable {
  let isHeld = true;
  return {
    [Symbol.dispose](): void {
      if (isHeld) giveBack();
      isHeld = false;
    },
  };
}

/** For a run without the lock. */
export function unlocked(site: string): Lock {
  const once = function* (): Op<Disposable> {
    yield* point(site);
    return { [Symbol.dispose]() {} };
  };
  return { site, read: once, write: once } as unknown as Lock;
}
