/** A guest_memfd, mapped by a process. */
import type { Op, PhysAddr } from "@dma-buf/core";
import { refuse } from "./refuse.js";

/** Shared pages of a file as a process has them. */
export interface GmemMapping {
  /**
   * The page frame's byte at `offset` into the file, for one access: it is the mapping's until a page is removed.
   * @throws DmaBufError at stage `mmap`: `EFAULT`, a signal: the mapping is gone, the file begins private, or ends before ·
   * `EHWPOISON`; and `ENOMEM`
   */
  fault(offset: number): PhysAddr;
  /** Ends it, once; sleeps when it was the last that held the file. */
  munmap(): Op<void>;
}

/** `put` gives the file back, or calls `undo` if it could not. */
export function gmemMapping(fault: (offset: number) => PhysAddr, put: (undo: () => void) => Op<void>): GmemMapping {
  let isMapped = true;
  return {
    fault(offset) {
      if (!isMapped) refuse("EFAULT", "mmap fault", "SIGSEGV: nothing is mapped any more", { offset }, "mmap");
      return fault(offset);
    },
    *munmap() {
      if (!isMapped) return;
      isMapped = false;
      yield* put(() => (isMapped = true));
    },
  };
}
