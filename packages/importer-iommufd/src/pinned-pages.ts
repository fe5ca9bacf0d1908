/** Backings that stay because each page is pinned while anybody uses it: memory of a process, and memory files. */
import { DmaBufError, type ErrnoName, type Op, PAGE_SIZE, type Scheduler } from "@dma-buf/core";
import type { MemoryFile, Pinned, UserMemory } from "./host.js";
import { type Piece, Pages } from "./pages.js";

interface PinnedPage extends Pinned {
  /** Domains and accesses that need it: it is pinned once for all of them. */
  users: number;
}

abstract class PinnedPages extends Pages {
  readonly #pages = new Map<number, PinnedPage>();

  /** Pages that are pinned. */
  get pinnedCount(): number {
    return this.#pages.size;
  }

  pin(offset: number, sizeBytes: number): readonly Piece[] {
    const pieces: Piece[] = [];
    const end = offset + sizeBytes;
    let at = offset;
    try {
      while (at < end) {
        const { ranges } = this.#take(Math.floor(at / PAGE_SIZE));
        const into = at % PAGE_SIZE;
        const length = Math.min(PAGE_SIZE - into, end - at);
        at += length;
        for (const { physical } of ranges.slice(0, 1)) append(pieces, physical + into, length);
      }
      return pieces;
    } catch (error) {
      if (at > offset) this.unpin(offset, at - offset);
      throw error;
    }
  }

  unpin(offset: number, sizeBytes: number): void {
    for (let index = Math.floor(offset / PAGE_SIZE); index * PAGE_SIZE < offset + sizeBytes; index++) {
      const page = this.#pages.get(index) as PinnedPage;
      if (--page.users > 0) continue;
      this.#pages.delete(index);
      page.unpin();
    }
  }

  #take(index: number): PinnedPage {
    let page = this.#pages.get(index);
    if (!page) {
      const pinned = this.pinPage(index);
      page = { ranges: pinned.ranges, users: 0, unpin: () => pinned.unpin() };
      this.#pages.set(index, page);
    }
    page.users++;
    return page;
  }

  protected abstract pinPage(index: number): Pinned;
}

/** Neighbours become one piece, so that a large leaf can map them. */
function append(pieces: Piece[], physical: number, sizeBytes: number): void {
  const last = pieces.at(-1);
  if (last && last.physical + last.sizeBytes === physical)
    pieces[pieces.length - 1] = { ...last, sizeBytes: last.sizeBytes + sizeBytes };
  else pieces.push({ physical: physical as Piece["physical"], sizeBytes, cache: null });
}

/** Memory of the process. Nothing is pinned before somebody needs it. */
export class UserPages extends PinnedPages {
  readonly kind = "user";
  readonly first: bigint;
  readonly #memory: UserMemory;

  /** `address`: of the first byte. */
  constructor(scheduler: Scheduler, memory: UserMemory, address: bigint, isWritable: boolean) {
    super(scheduler, isWritable);
    this.#memory = memory;
    this.first = address - (address % BigInt(PAGE_SIZE));
  }

  protected pinPage(index: number): Pinned {
    return this.#memory.pinUserPage(this.first + BigInt(index) * BigInt(PAGE_SIZE), this.isWritable);
  }

  protected *release(): Op<void> {}
}

/** A file: a memory file, or one that turns out to be none when pages of it are needed. Holds a reference to it. */
export class FilePages extends PinnedPages {
  readonly kind = "file";
  readonly first: bigint;
  readonly #file: MemoryFile | null;
  readonly #end: bigint;

  /** Bytes `[start, start + length)` of the file; `null`: a file without folios. */
  constructor(
    scheduler: Scheduler,
    file: MemoryFile | null,
    { start, length }: { readonly start: bigint; readonly length: bigint },
    isWritable: boolean,
  ) {
    super(scheduler, isWritable);
    this.#file = file;
    this.first = start - (start % BigInt(PAGE_SIZE));
    this.#end = start + length;
    file?.hold();
  }

  protected pinPage(index: number): Pinned {
    if (!this.#file) throw notPinned("EINVAL", "the file is neither a memory file nor a dma-buf: map one of those");
    const offset = this.first + BigInt(index * PAGE_SIZE);
    try {
      return this.#file.pinFolios(Number(offset), Math.min(PAGE_SIZE, Number(this.#end - offset)));
    } catch (error) {
      // Files are pinned for other ends too: here it is a map that is refused.
      throw error instanceof DmaBufError ? notPinned(error.code, error.message, error) : error;
    }
  }

  protected *release(): Op<void> {
    this.#file?.release();
  }
}

function notPinned(code: ErrnoName, message: string, cause?: DmaBufError): DmaBufError {
  return new DmaBufError(code, { op: "memfd_pin_folios", stage: "map", message, ...(cause ? { cause } : {}) });
}
