/**
 * A pool of tables in one ArrayBuffer, handed out from the lowest up: filling tables in ascending order is up to twice as
 * fast as in descending order, and a list of free tables that is a stack hands them out descending after each unmap.
 */
import { DmaBufError, hex, type PhysAddr, type TableMemory } from "@dma-buf/core";

/** How a pool is made. */
export interface TableMemoryOptions {
  /** Where the pool lies in CPU-physical memory; a multiple of 4096. */
  readonly basePhys: PhysAddr;
  /** A multiple of 4096, at most 4 GiB. Untouched memory costs nothing. */
  readonly sizeBytes: number;
  /** Of as many bytes, from a pool that nobody uses any more: it is cleared. @defaultValue a new one */
  readonly buffer?: ArrayBuffer;
}

const SIZE_BYTES_MAX = 2 ** 32;
const TABLE_BYTES = 4096;
const TABLE_WORDS = 1024;

/**
 * A pool whose tables are zero when handed out, because they are cleared when given back.
 * @throws RangeError for a base or a size that is no multiple of 4096, or a size above 4 GiB.
 * @example
 * const memory = createTableMemory({ basePhys: addr<PhysAddr>(0x1000_0000), sizeBytes: 16 * 4096 });
 * memory.allocTable(); // 0x1000_0000
 * memory.liveTables; // 1
 */
export function createTableMemory({ basePhys, sizeBytes, buffer }: TableMemoryOptions): TableMemory {
  if (!Number.isSafeInteger(basePhys) || basePhys < 0)
    throw new RangeError(`basePhys ${basePhys} is no address: give a whole number from 0 to 2^53 - 1`);
  if (basePhys % TABLE_BYTES !== 0) throw new RangeError(`basePhys ${hex(basePhys)} is no multiple of 4096: align it`);
  if (!(sizeBytes > 0 && sizeBytes % TABLE_BYTES === 0 && sizeBytes <= SIZE_BYTES_MAX))
    throw new RangeError(`sizeBytes ${sizeBytes}: a pool has a multiple of 4096 bytes, at most 2^32`);
  if (buffer && buffer.byteLength !== sizeBytes)
    throw new RangeError(`buffer has ${buffer.byteLength} bytes: a pool of ${sizeBytes} needs as many`);
  if (buffer) new Float64Array(buffer).fill(0);
  return new Pool(basePhys, buffer ?? new ArrayBuffer(sizeBytes));
}

/**
 * The same memory, but its `n`-th allocation from now fails, once: to see that a caller leaves nothing behind.
 * @example
 * const memory = failNth(createTableMemory({ basePhys: addr<PhysAddr>(0), sizeBytes: 16 * 4096 }), 2);
 * const table = createPageTable(vtdSecondStage, memory);
 * memory.liveTables; // 1
 */
export function failNth(memory: TableMemory, n: number): TableMemory {
  let left = n;
  return {
    basePhys: memory.basePhys,
    sizeBytes: memory.sizeBytes,
    words: memory.words,
    doubles: memory.doubles,
    get liveTables() {
      return memory.liveTables;
    },
    allocTable(tables) {
      if (--left === 0) throw noMemory(`allocation ${n} was told to fail`);
      return memory.allocTable(tables);
    },
    freeTable: (table, tables) => memory.freeTable(table, tables),
  };
}

class Pool implements TableMemory {
  readonly basePhys: PhysAddr;
  readonly sizeBytes: number;
  readonly words: Int32Array;
  readonly doubles: Float64Array;
  liveTables = 0;
  /** A bit a table: set where it is out. 32 tables a word. */
  readonly #out: Int32Array;
  readonly #tables: number;
  /** No word below this one has a free table. */
  #lowest = 0;

  constructor(basePhys: PhysAddr, buffer: ArrayBuffer) {
    this.basePhys = basePhys;
    this.sizeBytes = buffer.byteLength;
    this.words = new Int32Array(buffer);
    this.doubles = new Float64Array(buffer);
    this.#tables = buffer.byteLength / TABLE_BYTES;
    this.#out = new Int32Array(Math.ceil(this.#tables / 32));
  }

  allocTable(tables = 1): PhysAddr {
    const table = tables === 1 ? this.#takeFirst() : this.#takeRow(checkCount(tables));
    if (table < 0)
      throw noMemory(`all ${this.#tables} page-table pages are in use: unmap something or give the machine more`);
    this.liveTables += tables;
    return (this.basePhys + table * TABLE_BYTES) as PhysAddr;
  }

  freeTable(physical: PhysAddr, tables = 1): void {
    const first = (physical - this.basePhys) / TABLE_BYTES;
    if (tables !== 1) checkCount(tables);
    for (let i = 0; i < tables; i++)
      if (!this.#isOut(first + i))
        throw new RangeError(`${hex(physical)} is not a table that was handed out: give back once`);
    for (let table = first; table < first + tables; table++) this.#flip(table);
    this.words.fill(0, first * TABLE_WORDS, (first + tables) * TABLE_WORDS);
    this.liveTables -= tables;
    this.#lowest = Math.min(this.#lowest, first >>> 5);
  }

  /** The lowest that is free, or -1. One step where tables are handed out in a row, which is the fast way to fill them. */
  #takeFirst(): number {
    const out = this.#out;
    while (out[this.#lowest] === -1) this.#lowest++;
    const word = this.#lowest;
    const free = ~(out[word] ?? -1);
    const table = word * 32 + 31 - Math.clz32(free & -free);
    if (free === 0 || table >= this.#tables) return -1;
    out[word] = (out[word] as number) | (free & -free);
    return table;
  }

  /** As many in a row, aligned in memory to their number. */
  #takeRow(tables: number): number {
    const before = (this.basePhys / TABLE_BYTES) % tables;
    for (let first = (tables - before) % tables; first + tables <= this.#tables; first += tables) {
      let taken = 0;
      for (let table = first; table < first + tables; table++) taken += Number(this.#isOut(table));
      if (taken > 0) continue;
      for (let table = first; table < first + tables; table++) this.#flip(table);
      return first;
    }
    return -1;
  }

  #isOut(table: number): boolean {
    if (!(Number.isInteger(table) && table >= 0 && table < this.#tables)) return false;
    return (((this.#out[table >>> 5] ?? 0) >>> (table & 31)) & 1) === 1;
  }

  #flip(table: number): void {
    this.#out[table >>> 5] = (this.#out[table >>> 5] as number) ^ (1 << (table & 31));
  }
}

/** @throws RangeError */
function checkCount(tables: number): number {
  if (Number.isInteger(tables) && tables > 0 && Number.isInteger(Math.log2(tables))) return tables;
  throw new RangeError(`${tables} tables in a row: give a power of two`);
}

function noMemory(why: string): DmaBufError {
  return new DmaBufError("ENOMEM", { op: "alloc_table", stage: "map", message: why });
}
