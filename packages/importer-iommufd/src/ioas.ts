/** An address space for I/O: what is mapped where, and the page tables that show it. Linux: `struct iommufd_ioas`. */
import { type Device, type DmaBuf, DmaBufError, type ErrnoName, type Op } from "@dma-buf/core";
import type { Area } from "./area.js";
import { DmaBufPages } from "./dma-buf-pages.js";
import type { MemoryFile, OpenFile } from "./host.js";
import { Hwpt } from "./hwpt.js";
import { WHOLE } from "./intervals.js";
import { IoPagetable } from "./io-pagetable.js";
import type { AreaPiece, AreaSpan } from "./area-span.js";
import type { IovaSpace } from "./iova-space.js";
import { Lock } from "./lock.js";
import { mapAreas, type Slice } from "./map-areas.js";
import type { IommufdObject, ObjectTable } from "./objects.js";
import type { Pages } from "./pages.js";
import { FilePages, UserPages } from "./pinned-pages.js";
import { unmapAreas } from "./unmap-areas.js";
import { checkBacking, checkMap, isUnmapAll, type MapArguments } from "./validate.js";
import type { World } from "./world.js";

/** `IOMMU_IOAS_MAP_FILE`. */
export interface MapFile extends MapArguments {
  /** An fd of the process, or what is behind it. */
  readonly file: number | OpenFile;
  /** Offset in the file, bytes. */
  readonly start: bigint;
}

/** `IOMMU_IOAS_COPY`: `iova` and `flags` are those of the copy. */
export interface MapCopy extends MapArguments {
  readonly src: { readonly space: IovaSpace<AreaSpan> };
  readonly srcIova: bigint;
}

const MAP_FILE = "IOMMU_IOAS_MAP_FILE";

/**
 * One IOAS. Without a domain nothing but IOVAs is looked at: what cannot be pinned or mapped is refused by the attach that
 * brings a domain. With domains, an operation returns when all of them show it. All sleep; hold no reservation. What is
 * refused leaves nothing.
 * @example
 * const ioas = iommufd.createIoas();
 * yield* ioas.map({ userVa: 0x4000_0000n, length: 8192n, flags: 6, iova: 0n }); // 0x2000n
 * yield* ioas.copy({ src: ioas, srcIova: 0x3000n, length: 4096n, flags: 7, iova: 0x10_0000n }); // 0x10_0000n
 * yield* ioas.unmap(0n, 2n ** 64n - 1n); // 12288n
 */
export class Ioas implements IommufdObject {
  readonly kind = "ioas";
  readonly iopt: IoPagetable;
  readonly hwpts: Set<Hwpt> = new Set();
  /** Held while a table is looked for or made at attach. */
  readonly mutex: Lock;
  readonly #world: World;
  readonly #objects: ObjectTable;

  constructor(world: World, objects: ObjectTable) {
    this.#world = world;
    this.#objects = objects;
    this.iopt = new IoPagetable(world);
    this.mutex = new Lock("iommufd.ioas_mutex", world.fw.scheduler);
  }

  get space(): IovaSpace<Area> {
    return this.iopt.space;
  }

  /** Page tables and accesses: while there are any, it is not destroyed. */
  get users(): number {
    return this.hwpts.size + this.iopt.accesses.size;
  }

  get hugePages(): boolean {
    return this.iopt.largePages;
  }

  setHugePages(on: boolean): Op<void> {
    return this.iopt.setLargePages(on);
  }

  /**
   * Maps memory of the process. `IOMMU_IOAS_MAP`.
   * @returns its IOVA
   * @throws DmaBufError as `checkMap()`, `checkBacking()`, `IovaSpace.place()`; with domains, what pinning (`EFAULT`,
   * `ENOMEM`) or a table refuses with
   */
  *map(what: MapArguments & { readonly userVa: bigint }): Op<bigint> {
    const { userVa, length } = what;
    checkMap(what, "IOMMU_IOAS_MAP");
    checkBacking(userVa, length, "IOMMU_IOAS_MAP");
    const { fw, host } = this.#world;
    const pages = new UserPages(fw.scheduler, host.user, userVa, (what.flags & WRITEABLE) !== 0);
    return yield* this.#mapWhole(pages, what, userVa);
  }

  /**
   * Maps a file: a dma-buf, which is attached and asked where it lies; or a memory file.
   * @returns its IOVA
   * @throws DmaBufError as {@link map}; `EBADF` no such fd · `EINVAL` a dma-buf that ends before; with domains, a file that
   * ends before or is no memory file · of a dma-buf, what its exporter refuses with
   */
  *mapFile(what: MapFile): Op<bigint> {
    const { start, length } = what;
    checkMap(what, MAP_FILE);
    checkBacking(start, length, MAP_FILE);
    const pages = yield* this.#open(what);
    return yield* this.#mapWhole(pages, what, start);
  }

  /** As {@link mapFile}, of a backing that is attached already; takes over the reference to it, also when it refuses. */
  *mapPages(pages: Pages, what: MapArguments & { readonly start: bigint }): Op<bigint> {
    return yield* this.#mapWhole(pages, what, what.start);
  }

  /**
   * Shows what another range shows, maybe of another IOAS, by the same backing. `IOMMU_IOAS_COPY`.
   * @throws DmaBufError as {@link map}; `ENOENT` areas do not cover the range · `EPERM` to be written, and the backing is
   * read-only
   */
  *copy(what: MapCopy): Op<bigint> {
    const { src, srcIova, length } = what;
    const { iova, readable, writeable } = checkMap(what, "IOMMU_IOAS_COPY");
    const slices = src.space.contiguous(srcIova, length).map(sliceOf);
    const addressHint = slices[0]?.offset ?? 0n;
    const permissions = { read: readable, write: writeable };
    let done = false;
    try {
      const at = yield* mapAreas(this.iopt, slices, { iova, addressHint, permissions });
      done = true;
      return at;
    } finally {
      if (!done) for (const { pages } of slices) yield* pages.put();
    }
  }

  /**
   * Unmaps whole areas; `2^64 - 1` bytes from 0: all. `IOMMU_IOAS_UNMAP`.
   * @returns bytes unmapped
   * @throws DmaBufError as `unmapAreas()`; `ENOENT` nothing is there · `EINVAL`, `EOVERFLOW` the range
   */
  *unmap(iova: bigint, length: bigint): Op<bigint> {
    if (isUnmapAll(iova, length)) return yield* unmapAreas(this.iopt, WHOLE);
    const unmapped = yield* unmapAreas(this.iopt, this.space.unmapRange(iova, length));
    if (unmapped === 0n)
      throw refused("ENOENT", "IOMMU_IOAS_UNMAP", "nothing is mapped in the range", { iova, length });
    return unmapped;
  }

  /**
   * Asks once more for buffers that were revoked, and shows them again. Nothing in Linux calls it: there a user unmaps and
   * maps again. A reading of what the contracts leave open. Nothing to do where the code as posted plays.
   * @throws DmaBufError what the exporter refuses with
   */
  *revalidate(): Op<void> {
    if (this.#world.options.asPosted) return;
    using _lock = yield* this.iopt.domainsLock.read();
    const revoked = new Set(
      this.space.areas.map((a) => a.pages).filter((p) => p instanceof DmaBufPages && p.isRevoked),
    );
    for (const pages of revoked) yield* (pages as Pages).acquire();
  }

  /** A page table that `device` can be attached to, filled. @throws DmaBufError as `IoPagetable.addDomain()`, and the host's */
  *allocHwpt(device: Device, isAuto = false): Op<Hwpt> {
    const hwpt = new Hwpt(this, this.#world.host.createDomain(device), isAuto);
    let done = false;
    try {
      yield* this.iopt.addDomain(hwpt.domain);
      done = true;
    } finally {
      if (!done) hwpt.domain.destroy();
    }
    this.hwpts.add(hwpt);
    this.#objects.add(hwpt);
    return hwpt;
  }

  /** Everything in it is unmapped. It has no {@link users}. */
  *destroy(): Op<void> {
    yield* unmapAreas(this.iopt, WHOLE);
  }

  *#mapWhole(pages: Pages, what: MapArguments, addressHint: bigint): Op<bigint> {
    let done = false;
    try {
      yield* pages.acquire();
      const { iova, readable, writeable } = checkMap(what, MAP_FILE);
      const slice = { pages, offset: addressHint % PAGE, length: what.length };
      const permissions = { read: readable, write: writeable };
      const at = yield* mapAreas(this.iopt, [slice], { iova, addressHint, permissions });
      done = true;
      return at;
    } finally {
      if (!done) yield* giveBack(pages);
    }
  }

  *#open({ file, start, length, flags }: MapFile): Op<Pages> {
    const { host, importBuffer, fw } = this.#world;
    const open = typeof file === "number" ? host.file(file) : file;
    if (!open) throw refused("EBADF", MAP_FILE, "the fd is not open: give one that is", { fd: file });
    if (isBuffer(open)) return yield* importBuffer(this.#world, { buf: open, start, length });
    const bytes = { start: Number(start), sizeBytes: Number(length) };
    return new FilePages(fw.scheduler, isMemory(open) ? open : null, bytes, (flags & WRITEABLE) !== 0);
  }
}

/** With a reference of its own. Whoever has a space of this package has areas of it. */
function sliceOf({ area, iova, last, skipBytes }: AreaPiece<AreaSpan>): Slice {
  const { pages, offset } = area as Area;
  return { pages: (pages as Pages).get(), offset: offset + skipBytes, length: last - iova + 1n };
}

/** Whoever has another reference to it may try again. */
function* giveBack(pages: Pages): Op<void> {
  if (pages.filled.size === 0) yield* pages.rest();
  yield* pages.put();
}

const WRITEABLE = 2;
const PAGE = 4096n;

function isBuffer(file: OpenFile): file is DmaBuf {
  return "ops" in file;
}

function isMemory(file: OpenFile): file is MemoryFile {
  return "pinFolios" in file;
}

function refused(code: ErrnoName, op: string, message: string, values: Record<string, unknown>): DmaBufError {
  return new DmaBufError(code, { op, stage: "map", message, values });
}
