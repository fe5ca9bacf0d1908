/**
 * Memory of a guest that is a file and needs no mapping of the VMM. Linux 7.3: `virt/kvm/guest_memfd.c`. A slot does not
 * hold the file; the file holds the VM.
 */
import { addr, hex, type Op, PAGE_SHIFT, PAGE_SIZE, type PhysAddr } from "@dma-buf/core";
import { GmemBindings } from "./gmem-bindings.js";
import { type GmemPage, GmemPages, type GuestMemfdHost } from "./gmem-pages.js";
import { type GmemMapping, gmemMapping } from "./gmem-mapping.js";
import { checkCreate, checkFallocate } from "./gmem-requests.js";
import { baseGfn, type Gfn, type MemorySlot } from "./memslot.js";
import { refuse } from "./refuse.js";
import { RwLock } from "./rw-lock.js";
import { type CreateGuestMemfd, GUEST_MEMFD_FLAG } from "./uapi.js";
import type { InvalidateGfns, View } from "./zap.js";

/** The VM that a file belongs to. */
export interface GuestMemfdVm {
  /** By identity. Linux: `struct kvm`. */
  readonly vm: object;
  readonly privateMemory: boolean;
  readonly host: GuestMemfdHost;
  readonly invalidate: InvalidateGfns;
}

/**
 * A guest_memfd. What changes its pages or bindings takes its lock, alone; getting a page does not: the sequence count sees
 * to it that a page that goes meanwhile is not installed.
 * @example
 * const file = kvm.files.get(kvm.createGuestMemfd({ size: 0x1_0000n, flags: GUEST_MEMFD_FLAG.MMAP }));
 * if (file?.kind !== "guest-memfd") throw new Error("another kind of file");
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
  readonly #bindings = new GmemBindings();
  #isOpen = true;
  /** The fd and its mappings; `0`: released. */
  #refs = 1;

  /** @internal A VM makes it. @throws DmaBufError `EINVAL` at stage `memslot`: flags that this VM has not, a size that is 0, negative or no whole pages */
  constructor(of: GuestMemfdVm, request: CreateGuestMemfd) {
    checkCreate(request, of.privateMemory);
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

  /** Is the fd open? Mappings may hold the file longer. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Slots that have a part of the file. */
  get bound(): readonly MemorySlot[] {
    return this.#bindings.slots;
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
   * of it · `EBADF` the file was closed meanwhile
   */
  checkBind(first: number, pages: number, vm: object): void {
    const op = "kvm_gmem_bind";
    if (this.#refs === 0) refuse("EBADF", op, "the file is closed: create another", { first });
    if (vm !== this.vm) refuse("EINVAL", op, "the file belongs to another VM: create one in this VM", { first });
    this.#bindings.check(first, pages, this.pages);
  }

  /** Locked. The slot's pages are the file's from page `first` on. {@link checkBind} has been asked. */
  bind(slot: MemorySlot, first: number): void {
    this.#bindings.add(slot, first);
  }

  /** Locked. The slot is gone. Nothing to do when it was not bound, or the file was closed before. */
  unbind(slot: MemorySlot): void {
    this.#bindings.remove(slot);
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
    if (!this.#bindings.has(slot, index))
      return refuse("EIO", op, `page ${index} of the file is not bound to slot ${slot.id}`, { gfn }, "vcpu-run");
    return this.#pages.get(index, op, "vcpu-run");
  }

  /**
   * Makes or removes pages; bytes. Where pages are removed, the guest's mappings of them go first. Sleeps.
   * @throws DmaBufError at stage `fd`: `EBADF` closed · `EOPNOTSUPP` a mode that is none · `EINVAL` negative, empty or
   * unaligned, pages to make beyond the end; and `ENOMEM`: pages made until then stay
   */
  *fallocate(mode: number, offset: number, sizeBytes: number): Op<void> {
    const op = "fallocate";
    this.#needOpen(op);
    const { isPunch, first, end } = checkFallocate(mode, offset, sizeBytes);
    using _lock = yield* this.lock(op);
    if (isPunch) return yield* this.#invalidate(first, end, () => this.#pages.remove(first, end));
    if (end > this.pages)
      refuse("EINVAL", op, `page ${end - 1} is beyond the file's ${this.pages}: stay within it`, { offset }, "fd");
    for (let index = first; index < end; index++) this.#pages.make(index);
  }

  /**
   * A mapping of a process. It holds the file until {@link GmemMapping.munmap}.
   * @throws DmaBufError at stage `mmap`: `EBADF` closed · `ENODEV` made without `MMAP` · `EINVAL` any other than a shared mapping
   */
  mmap(kind: "shared" | "private"): GmemMapping {
    const op = "mmap";
    this.#needOpen(op);
    if (!this.isMappable) refuse("ENODEV", op, "the file was made without GUEST_MEMFD_FLAG_MMAP", {}, "mmap");
    if (kind !== "shared")
      refuse("EINVAL", op, `${kind}: there are no copies of a guest's page, map it shared`, {}, "mmap");
    this.#refs++;
    return gmemMapping(
      (offset) => this.#faultUser(offset),
      (undo) => this.#put(undo),
    );
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
    yield* this.#put(() => (this.#isOpen = true));
  }

  /** A task that is ended meanwhile has put nothing: `undo`. */
  *#put(undo: () => void): Op<void> {
    if (--this.#refs > 0) return;
    let isPut = false;
    try {
      using _lock = yield* this.lock("the end of the file");
      yield* this.#invalidate(0, this.pages, () => {
        isPut = true;
        this.#bindings.clear();
        this.#pages.remove(0, this.pages);
      });
    } finally {
      if (!isPut) {
        this.#refs++;
        undo();
      }
    }
  }

  *#invalidate(first: number, end: number, change: () => void): Op<void> {
    const ranges = this.#bindings.gfnsOf(first, end);
    // No guest can have any of it.
    if (ranges.length === 0) return change();
    yield* this.#of.invalidate(ranges, this.#view, change);
  }

  /** What of a process's mapping is at `offset`: shared pages of the file. Linux: `kvm_gmem_fault_user_mapping()`. */
  #faultUser(offset: number): PhysAddr {
    const index = Math.floor(offset / PAGE_SIZE);
    if (!this.#has(GUEST_MEMFD_FLAG.INIT_SHARED) || !(index >= 0 && index < this.pages))
      return refuse("EFAULT", "mmap fault", `SIGBUS at ${hex(offset)}: private, or beyond the end`, { offset }, "mmap");
    const page = this.#pages.get(index, "mmap fault", "mmap");
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

  #needOpen(op: string): void {
    if (!this.#isOpen) refuse("EBADF", op, "the file is closed", {}, "fd");
  }
}
