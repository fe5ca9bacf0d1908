/**
 * Memory of a guest that is a file and needs no mapping of the VMM. Linux 7.3: `virt/kvm/guest_memfd.c`. A slot does not
 * hold the file; the file holds the VM.
 */
import { addr, hex, isPageAligned, type Op, PAGE_SHIFT, PAGE_SIZE, type PhysAddr } from "@dma-buf/core";
import { type GmemPage, GmemPages, type GuestMemfdHost } from "./gmem-pages.js";
import type { InvalidateGfns } from "./invalidate.js";
import { baseGfn, type Gfn, type MemorySlot, pagesOf } from "./memslot.js";
import type { GfnRange } from "./mmu.js";
import { refuse } from "./refuse.js";
import { RwLock } from "./rw-lock.js";
import { type CreateGuestMemfd, GUEST_MEMFD_FLAG } from "./uapi.js";
import type { View } from "./zap.js";

/**
 * Modes of `fallocate()`.
 * @example
 * FALLOC_FL.PUNCH_HOLE | FALLOC_FL.KEEP_SIZE; // 3
 */
export const FALLOC_FL = { KEEP_SIZE: 1, PUNCH_HOLE: 2 } as const;

/** The VM that a file belongs to. */
export interface GuestMemfdVm {
  /** By identity. Linux: `struct kvm`. */
  readonly vm: object;
  readonly host: GuestMemfdHost;
  readonly invalidate: InvalidateGfns;
  /** The file is gone: the VM is held by one less. Linux: `kvm_put_kvm()`. */
  released(file: GuestMemfd): void;
}

/** Shared pages of a file as a process has them. */
export interface GmemMapping {
  /**
   * The page frame's byte at `offset` into the file, for one access: it is the mapping's until a page is removed.
   * @throws DmaBufError at stage `mmap`: `EFAULT`, a SIGBUS, where the file begins private or ends · `EHWPOISON` · `ENOMEM`
   */
  fault(offset: number): PhysAddr;
  /** Ends it, once; sleeps when it was the last that held the file. */
  munmap(): Op<void>;
}

interface Binding {
  readonly slot: MemorySlot;
  /** Pages of the file, `[first, end)`. */
  readonly first: number;
  readonly end: number;
}

/** The guest's frames of pages `[from, to)` of the file, which the binding has. */
function gfnsOf({ slot, first }: Binding, from: number, to: number): GfnRange {
  return { start: baseGfn(slot) + from - first, end: baseGfn(slot) + to - first };
}

/** At least a page, and whole ones. */
function isRange(offset: number, sizeBytes: number): boolean {
  return offset >= 0 && sizeBytes > 0 && isPageAligned(offset) && isPageAligned(sizeBytes);
}

const KNOWN_FLAGS = GUEST_MEMFD_FLAG.MMAP | GUEST_MEMFD_FLAG.INIT_SHARED;

/** @throws DmaBufError `EINVAL` at stage `memslot`: flags that are none, a size that is 0, negative or no whole pages */
export function checkCreate({ size, flags }: CreateGuestMemfd): void {
  const op = "KVM_CREATE_GUEST_MEMFD";
  if ((flags & ~KNOWN_FLAGS) !== 0n)
    refuse("EINVAL", op, `flags 0x${flags.toString(16)} have bits that are no flag: clear them`, { flags });
  // A file's size is signed.
  if (size === 0n || size >= 2n ** 63n || size % BigInt(PAGE_SIZE) !== 0n)
    refuse("EINVAL", op, `size ${size} is no number of whole pages: give a multiple of ${PAGE_SIZE}`, { size });
}

/**
 * A guest_memfd. What changes its pages or bindings takes its lock, alone; getting a page does not: the sequence count sees
 * to it that a page that goes meanwhile is not installed.
 * @example
 * const file = kvm.files.get(kvm.createGuestMemfd({ size: 0x1_0000n, flags: GUEST_MEMFD_FLAG.MMAP }));
 * yield* file.gmem.fallocate(FALLOC_FL.KEEP_SIZE, 0, 4096);
 * file.gmem.allocatedPages; // 1
 */
export class GuestMemfd {
  /** Pages of the file. */
  readonly pages: number;
  readonly flags: bigint;
  readonly #of: GuestMemfdVm;
  readonly #pages: GmemPages;
  readonly #lock = new RwLock("kvm.filemap_invalidate_lock");
  #bindings: readonly Binding[] = [];
  #isOpen = true;
  /** The fd and its mappings; `0`: released. */
  #refs = 1;

  /** @throws DmaBufError as {@link checkCreate} */
  constructor(of: GuestMemfdVm, request: CreateGuestMemfd) {
    checkCreate(request);
    this.#of = of;
    this.flags = request.flags;
    this.pages = Number(request.size >> BigInt(PAGE_SHIFT));
    this.#pages = new GmemPages(of.host, !this.#has(GUEST_MEMFD_FLAG.INIT_SHARED));
  }

  get vm(): object {
    return this.#of.vm;
  }

  /** Shared pages come out of the file too, and not out of the process's mapping at `hva`. */
  get isMappable(): boolean {
    return this.#has(GUEST_MEMFD_FLAG.MMAP);
  }

  /** Slots that have a part of the file. */
  get bound(): readonly MemorySlot[] {
    return this.#bindings.map((b) => b.slot);
  }

  /** Pages that the file has, whoever uses them. */
  get allocatedPages(): number {
    return this.#pages.count;
  }

  /** Nobody changes it until what this gives is disposed. Sleeps; `slots_lock` comes first. Linux: `filemap_invalidate_lock()`. */
  lock(who: string): Op<Disposable> {
    return this.#lock.write(who);
  }

  /**
   * Row 16: could a slot have these pages of the file? Locked, and until {@link bind}. Linux: `kvm_gmem_bind()`.
   * @throws DmaBufError at stage `memslot`: `EINVAL` another VM's file, or beyond its end · `EEXIST` another slot has a part
   * of it
   */
  checkBind(first: number, pages: number, vm: object): void {
    const op = "kvm_gmem_bind";
    const end = first + pages;
    if (vm !== this.vm) refuse("EINVAL", op, "the file belongs to another VM: create one in this VM", { first });
    if (end > this.pages)
      refuse("EINVAL", op, `page ${end - 1} is beyond the file's ${this.pages}: lower offset or size`, {
        first,
        pages,
      });
    const other = this.#bindings.find((b) => first < b.end && b.first < end);
    if (other)
      refuse("EEXIST", op, `slot ${other.slot.id} has pages ${other.first} to ${other.end - 1}: delete it first`, {
        first,
        pages,
      });
  }

  /** The slot's pages are the file's from page `first` on. {@link checkBind} has been asked. */
  bind(slot: MemorySlot, first: number): void {
    this.#bindings = [...this.#bindings, { slot, first, end: first + pagesOf(slot) }];
  }

  /** Locked. The slot is gone. Nothing to do when it was not bound, or the file was closed before. */
  unbind(slot: MemorySlot): void {
    this.#bindings = this.#bindings.filter((b) => b.slot !== slot);
  }

  /**
   * The page of a frame; the caller puts it. A page that was never used is zeroed. Linux: `kvm_gmem_get_pfn()`; of one page
   * always. Does not sleep; call without `mmu_lock`.
   * @throws DmaBufError at stage `vcpu-run`: `EFAULT` the file is closed · `EIO` the file's page is another slot's or
   * nobody's · `EHWPOISON` · `ENOMEM`
   */
  getPfn(slot: MemorySlot, offset: number, gfn: Gfn): GmemPage {
    const op = "kvm_gmem_get_pfn";
    const index = offset / PAGE_SIZE + gfn - baseGfn(slot);
    if (this.#refs === 0) return refuse("EFAULT", op, "the file is closed: delete the slot", { gfn }, "vcpu-run");
    if (this.#bindingOf(index)?.slot !== slot)
      return refuse("EIO", op, `page ${index} of the file is not bound to slot ${slot.id}`, { gfn }, "vcpu-run");
    return this.#pages.get(index, op);
  }

  /**
   * Makes or removes pages; bytes. Where pages are removed, the guest's mappings of them go first. Sleeps.
   * @throws DmaBufError at stage `fd`: `EBADF` closed · `EOPNOTSUPP` another mode than `KEEP_SIZE` or
   * `PUNCH_HOLE | KEEP_SIZE` · `EINVAL` unaligned or empty, pages to make beyond the end · `ENOMEM`; pages made until then stay
   */
  *fallocate(mode: number, offset: number, sizeBytes: number): Op<void> {
    const op = "fallocate";
    this.#needOpen(op);
    if (mode !== FALLOC_FL.KEEP_SIZE && mode !== (FALLOC_FL.KEEP_SIZE | FALLOC_FL.PUNCH_HOLE))
      refuse("EOPNOTSUPP", op, `mode ${mode}: KEEP_SIZE, alone or with PUNCH_HOLE`, { mode }, "fd");
    if (!isRange(offset, sizeBytes))
      refuse("EINVAL", op, `${offset} + ${sizeBytes} are no whole pages: align both`, { offset, sizeBytes }, "fd");
    const first = offset / PAGE_SIZE;
    const end = first + sizeBytes / PAGE_SIZE;
    using _lock = yield* this.lock(op);
    if (mode !== FALLOC_FL.KEEP_SIZE) return yield* this.#invalidate(first, end, () => this.#pages.remove(first, end));
    if (end > this.pages)
      refuse("EINVAL", op, `page ${end - 1} is beyond the file's ${this.pages}: stay within it`, { offset }, "fd");
    for (let index = first; index < end; index++) this.#pages.make(index);
  }

  /**
   * A mapping of a process. It holds the file until {@link GmemMapping.munmap}.
   * @throws DmaBufError at stage `mmap`: `EBADF` closed · `ENODEV` made without `MMAP` · `EINVAL` a private mapping
   */
  mmap(kind: "shared" | "private"): GmemMapping {
    const op = "mmap";
    this.#needOpen(op);
    if (!this.isMappable) refuse("ENODEV", op, "the file was made without GUEST_MEMFD_FLAG_MMAP", {}, "mmap");
    if (kind === "private") refuse("EINVAL", op, "a copy of a guest's page is nobody's: map it shared", {}, "mmap");
    this.#refs++;
    let isMapped = true;
    const put = (): Op<void> => this.#put();
    return {
      fault: (offset) => this.#faultUser(offset),
      *munmap() {
        if (!isMapped) return;
        isMapped = false;
        yield* put();
      },
    };
  }

  /** The hardware lost the page: the guest's mappings of it go, and who asks for it is told. Sleeps. Linux: `memory_failure()`. */
  *memoryFailure(offset: number): Op<void> {
    const index = Math.floor(offset / PAGE_SIZE);
    using _lock = yield* this.lock("memory_failure");
    yield* this.#invalidate(index, index + 1, () => this.#pages.poison(index));
  }

  /** Closes the fd. With the last of fd and mappings the file unbinds its slots, and what guests have of it goes. Sleeps. */
  *close(): Op<void> {
    this.#needOpen("close");
    this.#isOpen = false;
    yield* this.#put();
  }

  *#put(): Op<void> {
    if (--this.#refs > 0) return;
    using _lock = yield* this.lock("the end of the file");
    yield* this.#invalidate(0, this.pages, () => (this.#bindings = []));
    this.#pages.remove(0, this.pages);
    this.#of.released(this);
  }

  *#invalidate(first: number, end: number, change: () => void): Op<void> {
    const hit = this.#bindings.filter((b) => b.first < end && first < b.end);
    const ranges = hit.map((b) => gfnsOf(b, Math.max(first, b.first), Math.min(end, b.end)));
    // No guest can have any of it.
    if (ranges.length === 0) return change();
    yield* this.#of.invalidate(ranges, this.#view, change);
  }

  /** What of a process's mapping is at `offset`: shared pages of the file. Linux: `kvm_gmem_fault_user_mapping()`. */
  #faultUser(offset: number): PhysAddr {
    const index = Math.floor(offset / PAGE_SIZE);
    if (!this.#has(GUEST_MEMFD_FLAG.INIT_SHARED) || !(index >= 0 && index < this.pages))
      return refuse("EFAULT", "mmap fault", `SIGBUS at ${hex(offset)}: private, or beyond the end`, { offset }, "mmap");
    const page = this.#pages.get(index, "mmap fault");
    page.put();
    return addr<PhysAddr>(page.physical + (offset % PAGE_SIZE));
  }

  /** Which of the guest's mappings may show pages of this file. */
  get #view(): View {
    return this.flags === 0n ? "private" : "both";
  }

  #has(flag: bigint): boolean {
    return (this.flags & flag) !== 0n;
  }

  #bindingOf(index: number): Binding | undefined {
    return this.#bindings.find((b) => b.first <= index && index < b.end);
  }

  #needOpen(op: string): void {
    if (!this.#isOpen) refuse("EBADF", op, "the file is closed", {}, "fd");
  }
}
