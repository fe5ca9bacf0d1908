/** Memory for page tables: what an importer's page table asks of a host. */
import { addr, DmaBufError, PAGE_SIZE, type PhysAddr, type TableMemory } from "@dma-buf/core";

const TABLES_BASE = 0x8000_0000;
const TABLES = 64;

/** Room for 64 tables. `fails`: does this allocation? */
export function tableMemory(fails: () => boolean): TableMemory {
  const sizeBytes = TABLES * PAGE_SIZE;
  const bytes = new ArrayBuffer(sizeBytes);
  const free = Array.from({ length: TABLES }, (_, i) => TABLES_BASE + i * PAGE_SIZE);
  return {
    basePhys: addr<PhysAddr>(TABLES_BASE),
    sizeBytes,
    words: new Int32Array(bytes),
    doubles: new Float64Array(bytes),
    allocTable(tables = 1) {
      if (fails()) noTable("told to fail: give back what was allocated so far");
      const at = free.findIndex(
        (first, i) => first % (tables * PAGE_SIZE) === 0 && isRow(free.slice(i, i + tables), tables),
      );
      if (at < 0) noTable(`${TABLES} tables are out: give some back`);
      return addr<PhysAddr>(free.splice(at, tables)[0] as number);
    },
    freeTable(table, tables = 1) {
      new Uint8Array(bytes, table - TABLES_BASE, tables * PAGE_SIZE).fill(0);
      for (let i = 0; i < tables; i++) free.push(table + i * PAGE_SIZE);
      free.sort((a, b) => a - b);
    },
    get liveTables() {
      return TABLES - free.length;
    },
  };
}

/** As many as there should be, each behind the other? */
function isRow(tables: readonly number[], length: number): boolean {
  return tables.length === length && tables.every((table, i) => table === (tables[0] as number) + i * PAGE_SIZE);
}

function noTable(message: string): never {
  throw new DmaBufError("ENOMEM", { op: "allocTable", stage: "map", message });
}
