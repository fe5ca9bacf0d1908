/** An area of an IOAS: IOVAs, and which bytes of which backing they show. Linux: `struct iopt_area`. */
import type { Filled } from "./fill.js";
import type { AreaSpan } from "./area-span.js";
import type { Pages } from "./pages.js";

/** What a device may do with an area. */
export interface Permissions {
  readonly read: boolean;
  readonly write: boolean;
}

/**
 * Made by MAP, MAP_FILE and COPY, gone with UNMAP: its IOVAs are taken as long, whatever is translated in it.
 * @example
 * const ioas = iommufd.createIoas();
 * yield* ioas.map({ userVa: 0x4000_0000n, length: 4096n, flags: 7, iova: 0x10_0000n });
 * ioas.space.areas.map((area) => area.last); // [0x10_0fffn]
 */
export class Area implements AreaSpan {
  readonly iova: bigint;
  readonly last: bigint;
  /** Where in its backing it begins, bytes. */
  readonly offset: bigint;
  readonly permissions: Permissions;
  /** `null` while it is filled or torn down. */
  pages: Pages | null = null;
  /** Of this area, the domains in which it is entered. */
  readonly filled: Filled[] = [];
  /** Pins by access objects. */
  accesses = 0;
  /** An unmap waits: nobody new may pin. */
  preventAccess = false;

  constructor(iova: bigint, length: bigint, offset: bigint, permissions: Permissions) {
    this.iova = iova;
    this.last = iova + length - 1n;
    this.offset = offset;
    this.permissions = permissions;
  }

  /** Bytes. */
  get length(): bigint {
    return this.last - this.iova + 1n;
  }

  get pageOffset(): number {
    return Number(this.offset % 4096n);
  }

  get isReady(): boolean {
    return this.pages !== null;
  }
}
