/** What a process has mapped, for who pins its memory: pages of memory files, and page frames that have no page. */
import { DmaBufError, type ErrnoName, PAGE_SIZE } from "@dma-buf/core";
import type { Memfd } from "./memfd-file.js";
import type { PinnedFolios } from "./memfd-folios.js";

/** How a range is mapped. Linux: `mmap()` with `MAP_SHARED`. */
export interface UserMapping {
  /** `null`: page frames of a device, or of who keeps the pages for itself. Linux: `VM_PFNMAP`. */
  readonly file: Memfd | null;
  /** Of the first byte in the file, a multiple of a page. @defaultValue 0 */
  readonly offset?: number;
  /** @defaultValue true */
  readonly write?: boolean;
}

interface Range extends Required<UserMapping> {
  readonly address: bigint;
  readonly end: bigint;
}

/** Addresses are bytes, page aligned, of 64 bits. */
export class UserMappings {
  readonly #ranges: Range[] = [];
  readonly #lockedPagesMax: number;
  #lockedPages = 0;

  /** `lockedPagesMax`: `RLIMIT_MEMLOCK`. @defaultValue no limit */
  constructor(lockedPagesMax: number = Infinity) {
    this.#lockedPagesMax = lockedPagesMax;
  }

  /** Pages that are pinned now, each as often as it is. */
  get lockedPages(): number {
    return this.#lockedPages;
  }

  /** Replaces what is mapped there, as `MAP_FIXED` does. */
  mmap(address: bigint, sizeBytes: number, { file, offset = 0, write = true }: UserMapping): void {
    this.munmap(address, sizeBytes);
    file?.hold();
    this.#ranges.push({ address, end: address + BigInt(sizeBytes), file, offset, write });
  }

  /** Pages that are pinned stay as long. */
  munmap(address: bigint, sizeBytes: number): void {
    const end = address + BigInt(sizeBytes);
    for (const range of this.#ranges.splice(0)) {
      if (range.address < address) this.#keep({ ...range, end: least(range.end, address) }, range);
      const from = range.address > end ? range.address : end;
      if (range.end > from)
        this.#keep({ ...range, address: from, offset: range.offset + Number(from - range.address) }, range);
      range.file?.release();
    }
  }

  /** The process ends. */
  exit(): void {
    for (const { file } of this.#ranges.splice(0)) file?.release();
  }

  /**
   * Linux: `pin_user_pages()` of one page.
   * @throws DmaBufError at stage `map`: `EFAULT` nothing is mapped there, it has no page, or `write` is not allowed ·
   * `ENOMEM` `RLIMIT_MEMLOCK`
   */
  pinUserPage(address: bigint, write: boolean): PinnedFolios {
    const range = this.#ranges.find((r) => r.address <= address && address < r.end);
    if (!range) throw refused("EFAULT", `nothing is mapped at 0x${address.toString(16)}`);
    if (!range.file) throw refused("EFAULT", `0x${address.toString(16)} shows page frames, which have no page`);
    if (write && !range.write) throw refused("EFAULT", `0x${address.toString(16)} is mapped read-only`);
    if (this.#lockedPages >= this.#lockedPagesMax)
      throw refused("ENOMEM", `${this.#lockedPagesMax} pages are locked: raise RLIMIT_MEMLOCK`);
    const pinned = this.#pin(range.file, range.offset + Number(address - range.address));
    this.#lockedPages++;
    return {
      ranges: pinned.ranges,
      unpin: () => {
        this.#lockedPages--;
        pinned.unpin();
      },
    };
  }

  /** Beyond the end of the file a mapping has no pages: a CPU gets SIGBUS there. */
  #pin(file: Memfd, offset: number): PinnedFolios {
    if (offset >= file.sizeBytes) throw refused("EFAULT", `offset ${offset} is beyond the end of the file`);
    return file.pinFolios(offset, Math.min(PAGE_SIZE, file.sizeBytes - offset));
  }

  #keep(part: Range, of: Range): void {
    if (part.end <= part.address) return;
    of.file?.hold();
    this.#ranges.push(part);
  }
}

const least = (a: bigint, b: bigint): bigint => (a < b ? a : b);

function refused(code: ErrnoName, message: string): DmaBufError {
  return new DmaBufError(code, { op: "pin_user_pages", stage: "map", message });
}
