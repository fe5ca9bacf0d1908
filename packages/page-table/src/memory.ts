/** A pool of tables in one ArrayBuffer: handed out ascending, because filling ascending pages is the fast order. */
import { addr, DmaBufError, hex, type PhysAddr, type TableMemory } from "@dma-buf/core";

const TABLE_BYTES = 4096;

export interface TableMemoryOptions {
  /** Where the pool lies in CPU-physical memory; a multiple of 4096. */
  readonly basePhys: PhysAddr;
  /** A multiple of 4096. */
  readonly sizeBytes: number;
}

/** A pool whose tables are zero when handed out, because they must be zero when given back. */
export function createTableMemory({ basePhys, sizeBytes }: TableMemoryOptions): TableMemory {
  const buffer = new ArrayBuffer(sizeBytes);
  const words = new Int32Array(buffer);
  const doubles = new Float64Array(buffer);
  const free: number[] = [];
  const handedOut = new Set<number>();
  let next = 0;

  return {
    basePhys,
    sizeBytes,
    words,
    doubles,
    get liveTables() {
      return handedOut.size;
    },
    allocTable() {
      const index = free.length > 0 ? (free.shift() as number) : next++;
      if (index * TABLE_BYTES >= sizeBytes) {
        next--;
        throw new DmaBufError("ENOMEM", {
          op: "alloc_table",
          stage: "map",
          message: `all ${sizeBytes / TABLE_BYTES} page-table pages are in use: unmap something or give the machine more`,
        });
      }
      handedOut.add(index);
      return addr<PhysAddr>(basePhys + index * TABLE_BYTES);
    },
    freeTable(table) {
      const index = (table - basePhys) / TABLE_BYTES;
      if (!handedOut.delete(index)) throw new RangeError(`${hex(table)} is not a table that was handed out`);
      const from = index * (TABLE_BYTES / 4);
      if (words.subarray(from, from + TABLE_BYTES / 4).some((w) => w !== 0))
        throw new RangeError(`table ${hex(table)} is given back with entries in it`);
      // Lowest first, so that a pool that was emptied hands out ascending again.
      const at = free.findIndex((f) => f > index);
      free.splice(at === -1 ? free.length : at, 0, index);
    },
  };
}
