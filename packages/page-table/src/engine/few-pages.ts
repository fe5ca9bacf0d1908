/**
 * Ranges below 2 MiB that lie in one lowest table which is there: segments of a scatter list, most of them. All their
 * leaves are pages, if the format has no size between a page and 2 MiB, and no table comes or goes.
 */
import { ENTRIES } from "./entries.js";
import { PAGE_BYTES } from "./layout.js";
import type { Mapping } from "./map.js";
import type { Tables } from "./tables.js";

/** So many are stored one by one; from there on it pays to begin a run. */
const FEW = 8;

/** `false`, and nothing is done, where it takes more than that. */
export function mapFewPages(tables: Tables, { va, physical, sizeBytes, flags }: Mapping): boolean {
  const pages = sizeBytes / PAGE_BYTES;
  const entry = find(tables, va, pages);
  if (entry < 0 || tables.countEmpty(entry, pages) < pages) return false;
  const lo = flags.lo[12] as number;
  const hi = flags.hi[12] as number;
  if (pages > FEW) {
    tables.writer.begin(tables.layout.run(lo, hi, physical, 12, 1));
    tables.writer.write(entry, pages);
  } else for (let i = 0; i < pages; i++) tables.store(entry + i, lo, hi, physical + i * PAGE_BYTES);
  tables.count(entry, pages);
  return true;
}

/** Pages that are gone, up to the first hole; -1, and nothing is done, where it takes more than that. */
export function unmapFewPages(tables: Tables, va: number, sizeBytes: number): number {
  const pages = sizeBytes / PAGE_BYTES;
  const entry = find(tables, va, pages);
  if (entry < 0) return -1;
  const present = tables.countPresent(entry, pages);
  if (present > 0) tables.clear(entry, present);
  return present;
}

/** The entry of the first page, if all are in one table that is there, and nobody watches; else -1. */
function find(tables: Tables, va: number, pages: number): number {
  const index = (va / PAGE_BYTES) & (ENTRIES - 1);
  if (tables.isWatched || index + pages > ENTRIES) return -1;
  let table = tables.near.find(va);
  if (table < 0 && tables.seek(va)) table = tables.near.find(va);
  return table < 0 ? -1 : table * ENTRIES + index;
}
