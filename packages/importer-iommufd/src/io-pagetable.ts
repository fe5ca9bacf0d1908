/** The state of one IOAS: its IOVAs, and the domains that show them. Linux: `struct io_pagetable`. */
import { DmaBufError, PAGE_SIZE, type Op } from "@dma-buf/core";
import type { Area } from "./area.js";
import { type Filled, fill, type FillOptions, unfill } from "./fill.js";
import type { IommufdDomain } from "./host.js";
import { IovaSpace } from "./iova-space.js";
import { Lock } from "./lock.js";
import type { Pages } from "./pages.js";
import { U64_MAX } from "./u64.js";
import type { World } from "./world.js";

/** An access object, as far as an IOAS knows it. */
export interface AccessUser {
  /** Bytes. */
  readonly alignment: number;
  /** Pins in this range must go. */
  notifyUnmap(iova: bigint, length: bigint): Op<void>;
}

/**
 * What `Ioas.iopt` is. To be looked at: an IOAS changes it by its own methods.
 * @example
 * const { iopt } = iommufd.createIoas();
 * iopt.domains.size; // 0
 */
export class IoPagetable {
  readonly space: IovaSpace<Area> = new IovaSpace<Area>();
  readonly world: World;
  /** Written to add and remove domains; read while an area is filled or torn down. */
  readonly domainsLock: Lock;
  readonly domains: Set<IommufdDomain> = new Set();
  readonly accesses: Set<AccessUser> = new Set();
  #largePages = true;

  constructor(world: World) {
    this.world = world;
    this.domainsLock = new Lock("iommufd.domains_rwsem", world.fw.scheduler);
  }

  get largePages(): boolean {
    return this.#largePages;
  }

  get fillOptions(): FillOptions {
    return { flush: this.world.guards.flush, largePages: this.#largePages };
  }

  /**
   * Shows all areas in `domain` too. Sleeps; takes {@link domainsLock}. Linux: `iopt_table_add_domain()`.
   * @throws DmaBufError at stage `attach`, nothing stays: `EINVAL` its smallest page is more than a page · `EADDRINUSE` an
   * area is out of its reach, or not aligned to its pages · what keeps an area from being filled
   */
  *addDomain(domain: IommufdDomain): Op<void> {
    using _lock = yield* this.domainsLock.write();
    this.world.checkOpen("iommufd attach", "attach");
    const alignment = max(BigInt(domain.pageBytesMin), this.space.alignment);
    this.space.checkAlignment(alignment);
    let done = false;
    try {
      this.#reserveOutside(domain);
      for (const area of this.space.areas) yield* this.#fillAtAttach(area, domain);
      this.domains.add(domain);
      this.space.setAlignment(alignment);
      done = true;
    } finally {
      if (!done) yield* this.#empty(domain);
    }
  }

  /** Undoes {@link addDomain}. */
  *removeDomain(domain: IommufdDomain): Op<void> {
    using _lock = yield* this.domainsLock.write();
    this.domains.delete(domain);
    yield* this.#empty(domain);
    this.#settleAlignment();
  }

  /** @throws DmaBufError `EADDRINUSE` at stage `attach`: an area is not aligned to what it needs */
  *addAccess(access: AccessUser): Op<void> {
    using _lock = yield* this.domainsLock.write();
    this.world.checkOpen("iommufd attach", "attach");
    this.space.setAlignment(max(BigInt(access.alignment), this.space.alignment));
    this.accesses.add(access);
  }

  *removeAccess(access: AccessUser): Op<void> {
    using _lock = yield* this.domainsLock.write();
    this.accesses.delete(access);
    this.#settleAlignment();
  }

  /**
   * `IOMMU_OPTION_HUGE_PAGES`.
   * @throws DmaBufError at stage `map`: `EINVAL` off, and domains hold areas · `EADDRINUSE` off, and an area is not aligned
   * to a page
   */
  *setLargePages(on: boolean): Op<void> {
    using _lock = yield* this.domainsLock.write();
    if (on === this.#largePages) return;
    if (!on && this.domains.size > 0 && this.space.areaCount > 0)
      throw new DmaBufError("EINVAL", {
        op: "IOMMU_OPTION",
        stage: "map",
        message: "areas are mapped in a domain, maybe by huge pages: unmap them first",
      });
    if (!on) this.space.checkAlignment(BigInt(PAGE_SIZE), "map");
    this.#largePages = on;
    this.#settleAlignment();
  }

  #settleAlignment(): void {
    const wanted = [
      1,
      ...[...this.domains].map((d) => d.pageBytesMin),
      ...[...this.accesses].map((a) => a.alignment),
      ...(this.#largePages ? [] : [PAGE_SIZE]),
    ];
    this.space.setAlignment(BigInt(Math.max(...wanted)));
  }

  #reserveOutside(domain: IommufdDomain): void {
    const { apertureFirst, apertureLast } = domain;
    if (apertureFirst > 0n) this.space.reserve(0n, apertureFirst - 1n, domain);
    if (apertureLast < U64_MAX) this.space.reserve(apertureLast + 1n, U64_MAX, domain);
  }

  *#fillAtAttach(area: Area, domain: IommufdDomain): Op<void> {
    try {
      yield* fill(area.pages as Pages, area, domain, this.fillOptions);
    } catch (cause) {
      if (!(cause instanceof DmaBufError)) throw cause;
      const { code, message, values } = cause;
      throw new DmaBufError(code, { op: "iommufd attach", stage: "attach", message, values, cause });
    }
  }

  *#empty(domain: IommufdDomain): Op<void> {
    for (const area of this.space.areas) {
      const filled = area.filled.find((f: Filled) => f.domain === domain);
      if (filled) yield* unfill(area.pages as Pages, filled);
    }
    this.space.unreserve(domain);
  }
}

const max = (a: bigint, b: bigint): bigint => (a > b ? a : b);
