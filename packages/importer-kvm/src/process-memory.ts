/**
 * The VMM's process as KVM sees it: what is mapped at which address, and the MMU notifier by which KVM is told before
 * something goes. Linux: `hva_to_pfn()`, `struct mmu_notifier_ops`.
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
import { DmaBufPages, type Place } from "./dma-buf-source.js";
import { refuse } from "./refuse.js";
import type { FoundPage } from "./source.js";

/** `invalidate_range_start` for `[hva, hva + sizeBytes)`; what it gives is `invalidate_range_end`. */
export type MmuNotifier = (hva: number, sizeBytes: number) => Op<() => Op<void>>;

/** Finds the page `offset` bytes into a mapping; frames of its extent count from the mapping's first page. */
type Find = (
  offset: number,
  refusal: (cause: DmaBufError) => unknown,
  install: (page: FoundPage) => Op<boolean>,
) => Op<boolean>;

interface Mapping {
  readonly hva: number;
  readonly sizeBytes: number;
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
  readonly #place: Place;
  readonly #notify: MmuNotifier;
  #mappings: readonly Mapping[] = [];

  /** @internal KVM makes the one of its process. */
  constructor(fw: Framework, name: string, place: Place, notify: MmuNotifier) {
    this.#fw = fw;
    this.#name = name;
    this.#place = place;
    this.#notify = notify;
  }

  /** Maps RAM that lies in a row. Frame by frame it is the process's own. @throws DmaBufError `EINVAL`, `EEXIST` at stage `mmap` */
  mapRam(hva: number, physical: PhysAddr, sizeBytes: number): void {
    this.#checkFree(hva, sizeBytes);
    const extent = { gfn: 0, pfn: physical / PAGE_SIZE, pages: sizeBytes / PAGE_SIZE };
    const find: Find = (_offset, _refusal, install) => install({ extent, cache: null });
    this.#add({ hva, sizeBytes, find, *close() {} });
  }

  /**
   * Maps bytes of a dma-buf from `offset` on; holds a reference until {@link unmap}.
   * @throws DmaBufError at stage `mmap`: `EINVAL` unaligned or beyond the buffer · `EEXIST` something is mapped there ·
   * what the exporter and the framework refuse with; nothing is left behind
   */
  *mapBuffer(hva: number, buf: DmaBuf, offset: number, sizeBytes: number): Op<void> {
    this.#checkFree(hva, sizeBytes);
    if (!isPageAligned(offset) || offset + sizeBytes > Math.ceil(buf.sizeBytes / PAGE_SIZE) * PAGE_SIZE)
      refuse("EINVAL", "mmap", `${hex(offset)} + ${hex(sizeBytes)} is not in the buffer: map less`, { offset }, "mmap");
    const told = this.#notify;
    const pages = yield* DmaBufPages.open(this.#fw, buf, this.#name, this.#place, function* () {
      const end = yield* told(hva, sizeBytes);
      yield* point("mmu_notifier.invalidate_range_end");
      yield* end();
    });
    const first = offset / PAGE_SIZE;
    const find: Find = (at, refusal, install) =>
      pages.find(offset + at, refusal, (page) => install(shifted(page, -first)));
    this.#add({ hva, sizeBytes, find, close: () => pages.close() });
  }

  /** Takes a mapping away: the notifier is told before. @throws DmaBufError `EINVAL` at stage `mmap`: none begins there */
  *unmap(hva: number): Op<void> {
    const mapping = this.#mappings.find((m) => m.hva === hva);
    if (!mapping) return refuse("EINVAL", "munmap", `no mapping begins at ${hex(hva)}`, { hva }, "mmap");
    const end = yield* this.#notify(hva, mapping.sizeBytes);
    yield* point("munmap");
    this.#mappings = this.#mappings.filter((m) => m !== mapping);
    yield* end();
    yield* mapping.close();
  }

  /** The process ends. */
  *unmapAll(): Op<void> {
    for (const { hva } of this.#mappings) yield* this.unmap(hva);
  }

  /** Other RAM takes the place of what is mapped at `hva`, after `copy`. The notifier spans it. Linux: `migrate_pages()`. */
  *migrate(hva: number, physical: PhysAddr, copy: () => Op<void>): Op<void> {
    const mapping = this.#mappings.find((m) => m.hva === hva);
    if (!mapping) return refuse("EINVAL", "migrate_pages", `no mapping begins at ${hex(hva)}`, { hva }, "mmap");
    const end = yield* this.#notify(hva, mapping.sizeBytes);
    yield* copy();
    this.#mappings = this.#mappings.filter((m) => m !== mapping);
    this.mapRam(hva, physical, mapping.sizeBytes);
    yield* end();
  }

  /** An address with room for `sizeBytes`, congruent with `like` modulo 1 GiB: large leaves need that. */
  freeAt(like: number, sizeBytes: number): number {
    for (let base = 2 ** 40; ; base += 2 ** 40) {
      const hva = base + (like % 2 ** 30);
      if (!this.#overlapping(hva, sizeBytes)) return hva;
    }
  }

  /**
   * The page at `hva` for `install`; frames of its extent count from page `hva` of the process: they are its addresses in
   * pages. Sleeps; its answer may be out of date when `install` runs.
   * @returns `null` where nothing is mapped
   */
  *find(
    hva: number,
    refusal: (cause: DmaBufError) => unknown,
    install: (page: FoundPage) => Op<boolean>,
  ): Op<boolean | null> {
    yield* point("mm.mmap_lock");
    const mapping = this.#mappings.find((m) => m.hva <= hva && hva < m.hva + m.sizeBytes);
    if (!mapping) return null;
    return yield* mapping.find(hva - mapping.hva, refusal, (page) =>
      install(shifted(clippedTo(page, mapping.sizeBytes / PAGE_SIZE), mapping.hva / PAGE_SIZE)),
    );
  }

  #add(mapping: Mapping): void {
    this.#mappings = [...this.#mappings, mapping];
  }

  #checkFree(hva: number, sizeBytes: number): void {
    if (!isPageAligned(hva) || !isPageAligned(sizeBytes) || sizeBytes <= 0)
      refuse("EINVAL", "mmap", `${hex(hva)} and ${sizeBytes} are not whole pages: align both`, { hva }, "mmap");
    if (this.#overlapping(hva, sizeBytes))
      refuse("EEXIST", "mmap", `something is mapped at ${hex(hva)}: unmap it first`, { hva }, "mmap");
  }

  #overlapping(hva: number, sizeBytes: number): boolean {
    return this.#mappings.some((m) => m.hva < hva + sizeBytes && hva < m.hva + m.sizeBytes);
  }
}

/** The same page, its frames counted from elsewhere. */
export function shifted(page: FoundPage, by: number): FoundPage {
  return { ...page, extent: { ...page.extent, gfn: page.extent.gfn + by } };
}

/** Only what lies in the first `pages` frames. */
function clippedTo(page: FoundPage, pages: number): FoundPage {
  const { gfn, pfn, pages: all } = page.extent;
  const from = Math.max(gfn, 0);
  return { ...page, extent: { gfn: from, pfn: pfn + from - gfn, pages: Math.min(gfn + all, pages) - from } };
}
