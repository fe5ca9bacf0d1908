/**
 * The VMM's process as KVM sees it: what is mapped at which address, and who is told before something goes. Linux:
 * `hva_to_pfn()`.
 */
import {
  type DmaBuf,
  type DmaBufError,
  type Framework,
  hex,
  isPageAligned,
  type Op,
  PAGE_SIZE,
  type PhysAddr,
  point,
} from "@dma-buf/core";
import { DmaBufPages, type Placing } from "./dma-buf-source.js";
import { refuse } from "./refuse.js";
import { type Area, MmuNotifier, type RangeStart } from "./mmu-notifier.js";
import { RwLock } from "./rw-lock.js";
import { needObject } from "./shape.js";
import { clippedTo, type FoundPage, shifted } from "./source.js";

/** Finds the page `offset` bytes into a mapping; frames of its extent count from the mapping's first page. */
type Find = (
  offset: number,
  refusal: (cause: DmaBufError) => unknown,
  install: (page: FoundPage) => Op<boolean>,
) => Op<boolean>;

interface Mapping extends Area {
  readonly find: Find;
  close(): Op<void>;
}

/**
 * What is mapped where. Addresses and sizes are bytes, whole pages; mappings do not overlap. Every operation may sleep.
 * @example
 * kvm.process.mapRam(0x400_0000, addr(0x2000_0000), 0x1_0000); // a slot with this `userspaceAddr` has that RAM
 */
export class ProcessMemory {
  readonly #fw: Framework;
  readonly #name: string;
  readonly #placing: Placing;
  readonly #notifier: MmuNotifier;
  /** Readers look a page up, and change pages under a mapping; a writer takes mappings away. */
  readonly #mmapLock = new RwLock("mm.mmap_lock");
  #mappings: readonly Mapping[] = [];
  /** Where mappings are being made. */
  #reserved: readonly Area[] = [];
  #hasEnded = false;

  /** @internal KVM makes the one of its process. */
  constructor(fw: Framework, name: string, placing: Placing, start: RangeStart) {
    this.#fw = fw;
    this.#name = name;
    this.#placing = placing;
    this.#notifier = new MmuNotifier(start);
  }

  /** @internal For who changes slots: sleeps until no MMU notifier is under way. */
  quiet(): Op<void> {
    return this.#notifier.quiet();
  }

  /**
   * Maps RAM that lies in a row. Frame by frame it is the process's own.
   * @throws DmaBufError at stage `mmap`: `EIO` the process has ended · `EINVAL` unaligned · `EEXIST` something is mapped there
   */
  mapRam(hva: number, physical: PhysAddr, sizeBytes: number): void {
    this.#checkFree(hva, sizeBytes);
    this.#add(ram({ hva, sizeBytes }, physical));
  }

  /**
   * Maps bytes of a dma-buf from `offset` on; holds a reference until {@link unmap}.
   * @throws DmaBufError at stage `mmap`: `EIO` the process has ended · `EINVAL` unaligned or beyond the buffer ·
   * `EEXIST` something is mapped there · what the exporter and the framework refuse with; nothing is left behind · TypeError
   * no buffer
   */
  *mapBuffer(hva: number, buf: DmaBuf, offset: number, sizeBytes: number): Op<void> {
    needObject(buf, "buf", "the DmaBuf that export() gave");
    this.#checkFree(hva, sizeBytes);
    if (!isPageAligned(offset) || offset < 0 || offset + sizeBytes > Math.ceil(buf.sizeBytes / PAGE_SIZE) * PAGE_SIZE)
      refuse("EINVAL", "mmap", `${hex(offset)} + ${hex(sizeBytes)} is not in the buffer: map less`, { offset }, "mmap");
    const area = { hva, sizeBytes };
    const told = (): Op<void> => this.#notifier.around(area, () => point("mmu_notifier.invalidate_range_end"));
    // Somebody else may map meanwhile, but not there.
    this.#reserved = [...this.#reserved, area];
    try {
      const pages = yield* DmaBufPages.open(this.#fw, buf, this.#name, this.#placing, told);
      // It ended meanwhile, and saw no mapping to take away.
      if (this.#hasEnded) yield* pages.close();
      this.#needLife();
      const find: Find = (at, refusal, install) =>
        pages.find(offset + at, refusal, (page) => install(shifted(page, -offset / PAGE_SIZE)));
      this.#add({ ...area, find, close: () => pages.close() });
    } finally {
      this.#reserved = this.#reserved.filter((other) => other !== area);
    }
  }

  /** Takes a mapping away: the notifier is told before. @throws DmaBufError `EINVAL` at stage `mmap`: none begins there */
  *unmap(hva: number): Op<void> {
    using _lock = yield* this.#mmapLock.write("munmap");
    yield* this.#taken(this.#at(hva, "munmap"));
  }

  /** @internal As {@link unmap}; nothing to do where the process has ended meanwhile. */
  *discard(hva: number): Op<void> {
    using _lock = yield* this.#mmapLock.write("munmap");
    const mapping = this.#mappings.find((m) => m.hva === hva);
    if (mapping) yield* this.#taken(mapping);
  }

  /** The process ends: nothing can be mapped from now on. */
  *unmapAll(): Op<void> {
    this.#hasEnded = true;
    using _lock = yield* this.#mmapLock.write("exit_mmap");
    for (const mapping of this.#mappings) yield* this.#taken(mapping);
  }

  *#taken(mapping: Mapping): Op<void> {
    const change = (): void => this.#remove(mapping);
    try {
      yield* this.#notifier.around(mapping, function* () {
        yield* point("munmap");
        change();
      });
    } finally {
      if (!this.#mappings.includes(mapping)) yield* mapping.close();
    }
  }

  /** Other RAM takes the place of what is mapped at `hva`, after `copy`; where that fails, nothing changes. The notifier spans it. Linux: `migrate_pages()`. */
  *migrate(hva: number, physical: PhysAddr, copy: () => Op<void>): Op<void> {
    using _lock = yield* this.#mmapLock.read("migrate_pages");
    const mapping = this.#at(hva, "migrate_pages");
    const moved = ram({ hva, sizeBytes: mapping.sizeBytes }, physical);
    const change = (): void => {
      this.#mappings = this.#mappings.map((m) => (m === mapping ? moved : m));
    };
    yield* this.#notifier.around(mapping, function* () {
      yield* copy();
      change();
    });
  }

  /** An address with room for `sizeBytes`, congruent with `like` modulo 1 GiB: large leaves need that. */
  freeAt(like: number, sizeBytes: number): number {
    for (let base = 2 ** 40; ; base += 2 ** 40) {
      const hva = base + (like % 2 ** 30);
      if (!this.#overlapping(hva, sizeBytes)) return hva;
    }
  }

  /**
   * @internal The page at `hva` for `install`; frames of its extent count from page `hva` of the process: they are its addresses in
   * pages. Sleeps; its answer may be out of date when `install` runs.
   * @returns `null` where nothing is mapped
   */
  *find(
    hva: number,
    refusal: (cause: DmaBufError) => unknown,
    install: (page: FoundPage) => Op<boolean>,
  ): Op<boolean | null> {
    using lock = yield* this.#mmapLock.read("a fault");
    const mapping = this.#mappings.find((m) => m.hva <= hva && hva < m.hva + m.sizeBytes);
    if (!mapping) return null;
    return yield* mapping.find(hva - mapping.hva, refusal, (page) => {
      lock[Symbol.dispose]();
      return install(shifted(clippedTo(page, mapping.sizeBytes / PAGE_SIZE), mapping.hva / PAGE_SIZE));
    });
  }

  #at(hva: number, op: string): Mapping {
    const mapping = this.#mappings.find((m) => m.hva === hva);
    return mapping ?? refuse("EINVAL", op, `no mapping begins at ${hex(hva)}`, { hva }, "mmap");
  }

  #remove(mapping: Mapping): void {
    this.#mappings = this.#mappings.filter((m) => m !== mapping);
  }

  #add(mapping: Mapping): void {
    this.#mappings = [...this.#mappings, mapping];
  }

  #needLife(): void {
    if (this.#hasEnded) refuse("EIO", "mmap", `the process of ${this.#name} has ended: make another VM`, {}, "mmap");
  }

  #checkFree(hva: number, sizeBytes: number): void {
    this.#needLife();
    if (!isPageAligned(hva) || hva < 0 || !isPageAligned(sizeBytes) || sizeBytes <= 0)
      refuse("EINVAL", "mmap", `${hex(hva)} and ${sizeBytes} are not whole pages: align both`, { hva }, "mmap");
    if (this.#overlapping(hva, sizeBytes))
      refuse("EEXIST", "mmap", `something is mapped at ${hex(hva)}: unmap it first`, { hva }, "mmap");
  }

  #overlapping(hva: number, sizeBytes: number): boolean {
    return [...this.#mappings, ...this.#reserved].some((m) => m.hva < hva + sizeBytes && hva < m.hva + m.sizeBytes);
  }
}

/** @throws DmaBufError `EINVAL` at stage `mmap`: no frame begins there */
function ram(area: Area, physical: PhysAddr): Mapping {
  if (!isPageAligned(physical))
    refuse("EINVAL", "mmap", `${physical} is no page frame's address: align it to ${PAGE_SIZE}`, { physical }, "mmap");
  const extent = { gfn: 0, pfn: physical / PAGE_SIZE, pages: area.sizeBytes / PAGE_SIZE };
  return { ...area, find: (_offset, _refusal, install) => install({ extent, cache: null }), *close() {} };
}
