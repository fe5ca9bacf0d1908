/** What the VMM has open, as far as a VM asks. */
import type { DmaBuf, Op } from "@dma-buf/core";
import { refuse } from "./refuse.js";
import type { SlotFile } from "./set-region.js";
import { needObject } from "./shape.js";

/**
 * Fds of one process. They hold no reference to a dma-buf: its user does.
 * @example
 * const fd = kvm.createGuestMemfd({ size: 4096n, flags: 0n });
 * kvm.files.get(fd)?.kind; // "guest-memfd"
 * yield* kvm.files.close(fd);
 */
export class ProcessFiles {
  readonly #files = new Map<number, SlotFile>();
  /** 0 to 2 are the terminal. */
  #next = 3;

  /** The lowest fd that is free from 3 on is not looked for: each is a new one. */
  install(file: SlotFile): number {
    this.#files.set(this.#next, file);
    return this.#next++;
  }

  /** As {@link install}. @throws TypeError no buffer */
  installBuffer(buf: DmaBuf): number {
    needObject(buf, "buf", "the DmaBuf that export() gave");
    return this.install({ kind: "dma-buf", buf });
  }

  get(fd: number): SlotFile | null {
    return this.#files.get(fd) ?? null;
  }

  /** The fd is free. What it stood for stays open. */
  remove(fd: number): void {
    this.#files.delete(fd);
  }

  /** Closes the fd of a guest_memfd. Sleeps. @throws DmaBufError `EBADF` at stage `fd` */
  *close(fd: number): Op<void> {
    const file = this.get(fd);
    if (!file) return refuse("EBADF", "close", `fd ${fd} is not open`, { fd }, "fd");
    yield* this.#close(fd, file);
  }

  /** Gives back what is open. Sleeps. */
  *closeAll(): Op<void> {
    for (const [fd, file] of this.#files) yield* this.#close(fd, file);
  }

  *#close(fd: number, file: SlotFile): Op<void> {
    this.#files.delete(fd);
    if (file.kind !== "guest-memfd") return;
    try {
      yield* file.gmem.close();
    } finally {
      // The task was ended before it was through: the fd is as it was.
      if (file.gmem.isOpen) this.#files.set(fd, file);
    }
  }
}
