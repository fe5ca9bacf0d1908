/** A memory file: what processes and the kernel do with it. Its seals, its size, its bytes, who pins or follows its pages. */
import { hex, type Op, PAGE_SIZE } from "@dma-buf/core";
import { checkWithin, type FolioRange, Folios, type MemfdParts, type PinnedFolios, refused } from "./memfd-folios.js";
import { type Following, migratePage, type PageFollower } from "./memfd-migrate.js";
import { F_ALL_SEALS, F_SEAL, withImplied } from "./memfd-seals.js";

export class Memfd {
  readonly kind: "shmem" | "hugetlb";
  readonly #parts: MemfdParts;
  readonly #folios: Folios;
  readonly #followings = new Set<Following>();
  #sizeBytes = 0;
  #seals: number;
  #writers = 0;
  #refs = 1;

  /** @internal `MachineMemfds.create()` makes one. */
  constructor(parts: MemfdParts, name: string, pageBytes: number, seals: number) {
    this.#parts = parts;
    this.#seals = seals;
    this.#folios = new Folios(parts, name, pageBytes);
    this.kind = pageBytes > PAGE_SIZE ? "hugetlb" : "shmem";
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Bits of `F_SEAL`. Linux: `F_GET_SEALS`. */
  get seals(): number {
    return this.#seals;
  }

  /**
   * Linux: `F_ADD_SEALS`, of a file without `MFD_NOEXEC_SEAL`: `F_SEAL_EXEC` brings more with it.
   * @throws DmaBufError `EINVAL` bits that are no seal · `EPERM` sealed against seals · `EBUSY` `F_SEAL_WRITE` while
   * somebody may write: a shared mapping, a pin, or who follows the pages
   */
  addSeals(seals: number): void {
    if ((seals & ~F_ALL_SEALS) !== 0) throw refused("EINVAL", "fcntl", `${hex(seals)} has bits that are no seal`);
    if (this.#has(F_SEAL.SEAL)) throw refused("EPERM", "fcntl", "F_SEAL_SEAL is set: no seal can be added");
    const added = withImplied(seals);
    const isNew = (added & F_SEAL.WRITE) !== 0 && !this.#has(F_SEAL.WRITE);
    if (isNew && (this.#writers > 0 || this.#followings.size > 0 || this.#folios.isPinned))
      throw refused("EBUSY", "fcntl", "somebody may write: unmap and unpin the file before F_SEAL_WRITE");
    this.#seals |= added;
  }

  /**
   * Linux: `ftruncate()`. Pages beyond the new end are given back, those that are pinned when they are unpinned; the bytes
   * behind it in its page become zero. @throws DmaBufError `EPERM` sealed against it · `EINVAL` no size, or no multiple of
   * the huge page
   */
  truncate(sizeBytes: number): void {
    const { pageBytes } = this.#folios;
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0)
      throw refused("EINVAL", "ftruncate", `${sizeBytes} is no size: give bytes, at least 0`);
    if (this.kind === "hugetlb" && sizeBytes % pageBytes !== 0)
      throw refused("EINVAL", "ftruncate", `${sizeBytes} is no multiple of the ${pageBytes} of a page: round it up`);
    if (sizeBytes < this.#sizeBytes && this.#has(F_SEAL.SHRINK))
      throw refused("EPERM", "ftruncate", "F_SEAL_SHRINK is set: the file cannot become smaller");
    if (sizeBytes > this.#sizeBytes && this.#has(F_SEAL.GROW))
      throw refused("EPERM", "ftruncate", "F_SEAL_GROW is set: the file cannot become larger");
    this.#sizeBytes = sizeBytes;
    this.#folios.cut(sizeBytes);
  }

  /** A shared, writable mapping, until it is disposed. @throws DmaBufError `EPERM` sealed against writing */
  mapShared(): Disposable {
    if (this.#has(F_SEAL.WRITE) || this.#has(F_SEAL.FUTURE_WRITE))
      throw refused("EPERM", "mmap", "F_SEAL_WRITE or F_SEAL_FUTURE_WRITE is set: map it read-only");
    this.#writers++;
    return { [Symbol.dispose]: () => void this.#writers-- };
  }

  /** Bytes as a process reads them. @throws DmaBufError `EINVAL` beyond the end */
  read(offset: number, sizeBytes: number): Uint8Array {
    const ranges = this.ranges(offset, sizeBytes);
    const out = new Uint8Array(sizeBytes);
    let at = 0;
    for (const range of ranges) {
      out.set(this.#parts.memory.read(range.physical, range.sizeBytes), at);
      at += range.sizeBytes;
    }
    return out;
  }

  /** Bytes as a process writes them. @throws DmaBufError `EPERM` sealed against writing · `EINVAL` beyond the end */
  write(offset: number, bytes: Uint8Array): void {
    this.mapShared()[Symbol.dispose]();
    let at = 0;
    for (const range of this.ranges(offset, bytes.length)) {
      this.#parts.memory.write(range.physical, bytes.subarray(at, at + range.sizeBytes));
      at += range.sizeBytes;
    }
  }

  /**
   * Where bytes lie now, page by page; pages that were never touched are allocated. Not pinned: true until a page moves.
   * @throws DmaBufError `EINVAL` empty, or beyond the end · `ENOMEM` no frame is left
   */
  ranges(offset: number, sizeBytes: number): readonly FolioRange[] {
    checkWithin(offset, sizeBytes, this.#sizeBytes);
    return this.#folios.ranges(offset, sizeBytes);
  }

  /** As {@link ranges}, and they stay there. Linux: `memfd_pin_folios()`. @throws DmaBufError as {@link ranges} */
  pinFolios(offset: number, sizeBytes: number): PinnedFolios {
    checkWithin(offset, sizeBytes, this.#sizeBytes);
    return this.#folios.pin(offset, sizeBytes);
  }

  /**
   * Asks `follower` before one of these pages moves, and keeps the file, until it is disposed.
   * @throws DmaBufError as {@link ranges}
   */
  follow(offset: number, sizeBytes: number, follower: PageFollower): Disposable {
    this.ranges(offset, sizeBytes);
    const following = { offset, end: offset + sizeBytes, follower };
    this.#followings.add(following);
    this.hold();
    return {
      [Symbol.dispose]: () => {
        this.#followings.delete(following);
        this.release();
      },
    };
  }

  /**
   * Moves a page to another frame; the old one is poisoned and free. Sleeps until all who follow it let go.
   * @throws DmaBufError `EBUSY` pinned · `EINVAL` there is no page · `ENOMEM` no frame is left · `EAGAIN` somebody does not
   * let go, or the page went meanwhile; the page is where it was
   */
  migrate(pgoff: number): Op<void> {
    return migratePage(this.#parts, this.#folios, this.#followings, pgoff);
  }

  /** A reference, as an fd has one. */
  hold(): void {
    this.#refs++;
  }

  /** With the last reference the pages go. */
  release(): void {
    if (--this.#refs === 0) this.#folios.cut(0);
  }

  #has(seal: number): boolean {
    return (this.#seals & seal) !== 0;
  }
}
