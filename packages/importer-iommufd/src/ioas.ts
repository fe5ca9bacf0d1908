/** An address space for I/O: what is mapped where, and the page tables that show it. Linux: `struct iommufd_ioas`. */
import { type Device, DmaBufError, type Op } from "@dma-buf/core";
import type { Area } from "./area.js";
import { DmaBufPages } from "./dma-buf-pages.js";
import { Hwpt } from "./hwpt.js";
import { WHOLE } from "./intervals.js";
import { IoPagetable } from "./io-pagetable.js";
import type { IovaSpace } from "./iova-space.js";
import { Lock } from "./lock.js";
import { type MapFile, openFile } from "./map-file.js";
import { copyAreas, type MapCopy, mapPages } from "./map-pages.js";
import type { IommufdObject, ObjectTable } from "./objects.js";
import type { Pages } from "./pages.js";
import { UserPages } from "./pinned-pages.js";
import { unmapAreas } from "./unmap-areas.js";
import { U64_MAX } from "./u64.js";
import { checkMap, checkWidth, lastOf, type MapArguments } from "./validate.js";
import type { World } from "./world.js";

const MAP = "IOMMU_IOAS_MAP";
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
   * @throws DmaBufError `EBADF` the iommufd is closed · `EOPNOTSUPP` a flag that is none · `EOVERFLOW` a value that is no
   * unsigned one of 64 bits, or all bits · `EINVAL` neither to be read nor to be written, length 0 · as `IovaSpace.place()`;
   * with domains, what pinning (`EFAULT`, `ENOMEM`) or a table refuses with
   */
  *map(what: MapArguments & { readonly userVa: bigint }): Op<bigint> {
    const { userVa, length } = what;
    const { writeable } = checkMap(what, MAP);
    lastOf(userVa, length, MAP, "userVa");
    const { fw, host } = this.#world;
    const pages = new UserPages(fw.scheduler, host.user, userVa, writeable);
    return yield* mapPages(this.iopt, pages, userVa, what, MAP);
  }

  /**
   * Maps a file: a dma-buf, which is attached and asked where it lies; or a memory file.
   * @returns its IOVA
   * @throws DmaBufError as {@link map}; `EBADF` no such fd · `EINVAL` a dma-buf that ends before; with domains, a file that
   * ends before or is no memory file · of a dma-buf, what its exporter refuses with
   */
  *mapFile(what: MapFile): Op<bigint> {
    this.#world.checkOpen(MAP_FILE);
    const { start, length } = what;
    checkMap(what, MAP_FILE);
    lastOf(start, length, MAP_FILE);
    const pages = yield* openFile(this.#world, what);
    return yield* mapPages(this.iopt, pages, start, what, MAP_FILE);
  }

  /** As {@link mapFile}, of a backing that is attached already; takes over the reference to it, also when it refuses. */
  mapPages(pages: Pages, what: MapArguments & { readonly start: bigint }): Op<bigint> {
    return mapPages(this.iopt, pages, what.start, what, MAP_FILE);
  }

  /**
   * Shows what another range shows, maybe of another IOAS, by the same backing. `IOMMU_IOAS_COPY`.
   * @throws DmaBufError as {@link map}; `ENOENT` areas do not cover the range · `EPERM` to be written, and the backing is
   * read-only
   */
  copy(what: MapCopy): Op<bigint> {
    return copyAreas(this.iopt, what);
  }

  /**
   * Unmaps whole areas; `2^64 - 1` bytes from 0: all. `IOMMU_IOAS_UNMAP`.
   * @returns bytes unmapped
   * @throws DmaBufError `ENOENT` nothing is there, or an area is not inside the range as a whole · `EBUSY` one is being filled
   * or torn down · `EINVAL`, `EOVERFLOW` the range · `EDEADLK`, with a finding, when an access keeps its pins
   */
  *unmap(iova: bigint, length: bigint): Op<bigint> {
    const op = "IOMMU_IOAS_UNMAP";
    if (iova === 0n && length === U64_MAX) return yield* unmapAreas(this.iopt, WHOLE);
    checkWidth({ iova, length }, op);
    const unmapped = yield* unmapAreas(this.iopt, { iova, last: lastOf(iova, length, op) });
    if (unmapped === 0n)
      throw new DmaBufError("ENOENT", {
        op,
        stage: "map",
        message: "nothing is mapped in the range",
        values: { iova, length },
      });
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

  /**
   * A page table that `device` can be attached to, filled.
   * @throws DmaBufError `EBADF` the iommufd is closed · the host's; at stage `attach`: `EINVAL` its smallest page is more than
   * a page · `EADDRINUSE` an area is out of its reach, or not aligned to its pages · what keeps an area from being filled
   */
  *allocHwpt(device: Device, isAuto = false): Op<Hwpt> {
    this.#world.checkOpen("IOMMU_HWPT_ALLOC");
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
}
