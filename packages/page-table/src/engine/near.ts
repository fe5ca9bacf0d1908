/**
 * Lowest tables that were found, by the region of 2 MiB that they cover, as hardware's paging-structure caches remember
 * them: `tables[region & mask]` is a table, or -1, and the region's if `regionOf[table]` is that region.
 */
export const REGION_BYTES = 0x20_0000;
/** How many are remembered at most: 256 KiB of numbers. */
const REMEMBERED_MAX = 0x1_0000;

export class Near {
  readonly tables: Int32Array;
  readonly mask: number;
  /** By table of the pool. Regions are int32, so that the loops need no conversion. */
  readonly regionOf: Int32Array;

  /** @param pool tables of the pool */
  constructor(pool: number) {
    this.mask = Math.min(2 ** Math.ceil(Math.log2(pool)), REMEMBERED_MAX) - 1;
    this.tables = new Int32Array(this.mask + 1).fill(-1);
    this.regionOf = new Int32Array(pool);
  }

  /** The table that is remembered for an address, or -1. */
  find(va: number): number {
    const region = (va / REGION_BYTES) | 0;
    const table = this.tables[region & this.mask] as number;
    return table >= 0 && this.regionOf[table] === region ? table : -1;
  }

  /** Remembers a lowest table by an address that it covers. */
  remember(va: number, table: number): void {
    const region = (va / REGION_BYTES) | 0;
    this.tables[region & this.mask] = table;
    this.regionOf[table] = region;
  }

  /** Must be told of each table that goes. */
  forget(table: number): void {
    const slot = (this.regionOf[table] as number) & this.mask;
    if (this.tables[slot] === table) this.tables[slot] = -1;
  }
}
