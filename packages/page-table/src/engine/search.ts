/** Is anything mapped there? Counts of entries in use make that cheap: an empty table is not looked through. */
import { PAGE_BYTES } from "./layout.js";
import type { Tables } from "./tables.js";

/** Where the first leaf with a byte in the range begins to cover it, or -1. */
export function firstLeaf(tables: Tables, from: number, end: number): number {
  return from < tables.vaEnd ? firstIn(tables, tables.root, tables.top, from, Math.min(end, tables.vaEnd)) : -1;
}

function firstIn(tables: Tables, table: number, level: number, from: number, end: number): number {
  const bytes = tables.layout.entryBytes[level] as number;
  let entry = tables.entryAt(table, level, from);
  if (level === 0) return firstPage(tables, entry, from, end);
  let next = (Math.floor(from / bytes) + 1) * bytes;
  for (let va = from; va < end; va = next, next += bytes, entry++) {
    if (!tables.isPresent(entry)) continue;
    if (!tables.isTable(entry, level)) return va;
    const child = tables.child(entry, level);
    const found = tables.live[child] === 0 ? -1 : firstIn(tables, child, level - 1, va, Math.min(end, next));
    if (found >= 0) return found;
  }
  return -1;
}

function firstPage(tables: Tables, entry: number, from: number, end: number): number {
  const pages = Math.ceil((end - from) / PAGE_BYTES);
  const empty = tables.countEmpty(entry, pages);
  return empty === pages ? -1 : from + empty * PAGE_BYTES;
}
