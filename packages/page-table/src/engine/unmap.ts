/** Unmapping a range as Linux does: up to the first hole, whole leaves only, and tables that the range covers whole. */
import { POWER } from "./layout.js";
import { ENTRIES } from "./entries.js";
import type { TableGather, Tables } from "./tables.js";

/** @returns the address up to which nothing is mapped any more; beyond `end` if the last leaf went further. */
export function unmapRange(tables: Tables, va: number, end: number, gather?: TableGather): number {
  return va < tables.vaEnd ? unmapIn(tables, tables.root, tables.top, va, Math.min(end, tables.vaEnd), gather) : va;
}

/** The part of a range that one table covers. */
function unmapIn(
  tables: Tables,
  table: number,
  level: number,
  from: number,
  end: number,
  gather?: TableGather,
): number {
  const bytes = tables.layout.entryBytes[level] as number;
  let entry = tables.entryAt(table, level, from);
  let va = from;
  while (va < end) {
    if (!tables.isPresent(entry)) return va;
    if (tables.isTable(entry, level)) {
      const next = (Math.floor(va / bytes) + 1) * bytes;
      const child = tables.child(entry, level);
      const isCovered = va === next - bytes && end >= next;
      if (!(isCovered && level === 1 && tables.dropFull(entry, child, gather))) {
        const reached = unmapIn(tables, child, level - 1, va, Math.min(end, next), gather);
        // A hole inside keeps the table, and so does a range that covers it in part.
        if (reached !== next) return reached;
        if (isCovered) tables.drop(entry, child, gather);
      }
      va = next;
      entry++;
    } else {
      const gone = unmapLeaves(tables, entry, level, va, Math.ceil((end - va) / bytes));
      if (gone === 0) return va;
      va += gone * bytes;
      entry += gone;
    }
  }
  return va;
}

/** Clears leaves from `entry` on, `entriesMax` and what the last one has more. @returns entries, 0 inside a leaf */
function unmapLeaves(tables: Tables, entry: number, level: number, va: number, entriesMax: number): number {
  const left = Math.min(entriesMax, ENTRIES - (entry & (ENTRIES - 1)));
  const isFull = level === 0 && tables.live[entry >>> 9] === ENTRIES;
  if (tables.layout.coded && !(isFull && left === ENTRIES)) return unmapCoded(tables, entry, level, va);
  const bytes = tables.layout.entryBytes[level] as number;
  if (level > 0 && Math.floor(va / bytes) * bytes !== va) return 0;
  let leaves = isFull ? left : 1;
  if (level === 0 && !isFull) leaves = tables.countPresent(entry, left);
  else while (leaves < left && tables.isPresent(entry + leaves) && !tables.isTable(entry + leaves, level)) leaves++;
  tables.clear(entry, leaves);
  return leaves;
}

/** One leaf that may stand in several entries. */
function unmapCoded(tables: Tables, entry: number, level: number, va: number): number {
  const size = POWER[tables.leafLog2(entry, level)] as number;
  if (Math.floor(va / size) * size !== va) return 0;
  const entries = size / (tables.layout.entryBytes[level] as number);
  tables.clear(entry, entries);
  return entries;
}

/** Gives back all below a table that leads to no leaf. */
export function releaseBelow(tables: Tables, table: number, level: number): void {
  for (let entry = table * ENTRIES; tables.live[table] !== 0 && entry < (table + 1) * ENTRIES; entry++) {
    if (!tables.isPresent(entry)) continue;
    const child = tables.child(entry, level);
    releaseBelow(tables, child, level - 1);
    tables.drop(entry, child);
  }
}
