/** Reading a page table from the side of whoever wrote it. */
import type { PhysAddr } from "@dma-buf/core";
import { entryLog2, type LeafShape, type Protection } from "../format.js";
import { ENTRIES } from "./entries.js";
import type { Tables } from "./tables.js";

/** One leaf as it stands in the table. */
export interface Leaf {
  readonly va: number;
  readonly physical: PhysAddr;
  readonly sizeBytes: number;
  readonly protection: Protection;
  /** All 64 bits, of the first of its entries. */
  readonly entry: bigint;
  /** Did hardware read or write through it? `false` in formats without such a bit. */
  readonly accessed: boolean;
  /** Did hardware write through it? */
  readonly dirty: boolean;
}

/** Where a leaf stands. */
export interface Place {
  readonly va: number;
  readonly entry: number;
  readonly level: number;
  readonly sizeLog2: number;
}

/** The places of all leaves that have a byte in the range, by ascending address. */
export function* places(tables: Tables, from: number, end: number): Generator<Place, void, void> {
  if (from < end) yield* placesIn(tables, tables.root, tables.top, 0, from, Math.min(end, tables.vaEnd));
}

function* placesIn(
  tables: Tables,
  table: number,
  level: number,
  base: number,
  from: number,
  end: number,
): Generator<Place, void, void> {
  const bytes = tables.layout.entryBytes[level] as number;
  const last = Math.ceil((end - base) / bytes);
  for (let i = Math.max(0, Math.floor((from - base) / bytes)); i < last; ) {
    const entry = table * ENTRIES + i;
    const va = base + i * bytes;
    if (!tables.isPresent(entry)) i++;
    else if (tables.isTable(entry, level)) {
      yield* placesIn(tables, tables.child(entry, level), level - 1, va, from, Math.min(end, va + bytes));
      i++;
    } else {
      const sizeLog2 = tables.leafLog2(entry, level);
      // A leaf of several entries may begin before the one that the range begins with.
      const entries = entriesOf({ level, sizeLog2 });
      const first = Math.floor(i / entries) * entries;
      yield { va: base + first * bytes, entry: table * ENTRIES + first, level, sizeLog2 };
      i = first + entries;
    }
  }
}

/** What stands there. */
export function leafAt(tables: Tables, place: Place): Leaf {
  const { va, entry, level, sizeLog2 } = place;
  const { format } = tables;
  const bits = tables.all[entry] as bigint;
  const any = entryBits(tables, place);
  return {
    va,
    physical: tables.outputOf(entry, sizeLog2) as PhysAddr,
    sizeBytes: 2 ** sizeLog2,
    protection: format.protection(bits, level),
    entry: bits,
    accessed: (any & format.accessed) !== 0n,
    dirty: (any & format.dirty) !== 0n,
  };
}

/** Entries that a leaf takes. */
export function entriesOf({ level, sizeLog2 }: LeafShape): number {
  return 2 ** (sizeLog2 - entryLog2(level));
}

/** The bits that any entry of a leaf has: hardware sets accessed and dirty in the one that it walked. */
export function entryBits(tables: Tables, place: Place): bigint {
  const { entry } = place;
  const entries = entriesOf(place);
  let bits = 0n;
  for (let i = 0; i < entries; i++) bits |= tables.all[entry + i] as bigint;
  return bits;
}

/** Tables below the root that lead to no leaf. */
export function idleTables(tables: Tables): number {
  const { held, root, top, rootTables } = tables;
  if (held === 0) return 0;
  return held - rootTables - Math.max(0, busyBelow(tables, root, top, rootTables * ENTRIES));
}

/** Tables below this one that lead to a leaf; -1 if this one leads to none itself. */
function busyBelow(tables: Tables, table: number, level: number, entries: number = ENTRIES): number {
  if (level === 0) return tables.live[table] === 0 ? -1 : 0;
  let busy = -1;
  for (let entry = table * ENTRIES; entry < table * ENTRIES + entries; entry++) {
    if (!tables.isPresent(entry)) continue;
    if (!tables.isTable(entry, level)) busy = Math.max(0, busy);
    else {
      const below = busyBelow(tables, tables.child(entry, level), level - 1);
      if (below >= 0) busy = Math.max(0, busy) + 1 + below;
    }
  }
  return busy;
}
