/** A process's files. */
import type { Op } from "@dma-buf/core";

/** Something behind an fd. */
export interface File {
  /** `dma-buf`, `sync_file`, `eventfd`. */
  readonly kind: string;
  /** The last fd is closed. */
  release(): Op<void>;
}

/**
 * File descriptors, lowest free first.
 * @example
 * const fds = new FdTable(3);
 * fds.install(fds.reserve() ?? -1, file);
 */
export class FdTable {
  readonly #max: number;
  readonly #files = new Map<number, File | null>();

  /** @param max how many may be open. @defaultValue 1024, as `RLIMIT_NOFILE` */
  constructor(max = 1024) {
    this.#max = max;
  }

  /** The lowest free fd, taken but empty; `null` when the table is full: `EMFILE`. */
  reserve(): number | null {
    for (let fd = 0; fd < this.#max; fd++)
      if (!this.#files.has(fd)) {
        this.#files.set(fd, null);
        return fd;
      }
    return null;
  }

  /** Fills a reserved fd; the file's reference is now the fd's. */
  install(fd: number, file: File): void {
    if (this.#files.get(fd) !== null) throw new RangeError(`fd ${fd} is not reserved: reserve() first`);
    this.#files.set(fd, file);
  }

  /** Gives back a reserved fd that was not filled. */
  unreserve(fd: number): void {
    if (this.#files.get(fd) === null) this.#files.delete(fd);
  }

  /** `null`: closed, or reserved only. */
  get(fd: number): File | null {
    return this.#files.get(fd) ?? null;
  }

  /** close(2). Nothing happens if it is not open. */
  *close(fd: number): Op<void> {
    const file = this.#files.get(fd);
    this.#files.delete(fd);
    if (file) yield* file.release();
  }
}
