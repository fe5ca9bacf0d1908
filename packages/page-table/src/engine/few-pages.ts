/**
 * Ranges below 2 MiB that lie in one lowest table which is there: segments of a scatter list, most of them. All their
 * leaves are pages, if the format has no size between a page and 2 MiB, and no table comes or goes.
 */
import { ENTRIES } from "./entries.js";
import type { LeafFlags } from "./flags.js";
import { PAGE_BYTES, WORD } from "./layout.js";
import type { Mapping } from "./map.js";
import type { Tables } from "./tables.js";

/** So many are stored one by one; from there on it pays to begin a run. */
const FEW = 8;

/** `false`, and nothing is done, where it takes more than that. */
export function mapFewPages(tables: Tables, { va, physical, sizeBytes, flags }: Mapping): boolean {
  const pages = sizeBytes / PAGE_BYTES;
  const entry = find(tables, va, pages);
  if (entry < 0 || tables.countEmpty(entry, pages) < pages) return false;
  if (pages > FEW) writeRun(tables, entry, pages, physical, flags);
  else for (let i = 0; i < pages; i++) writePage(tables, entry + i, physical + i * PAGE_BYTES, flags);
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

/** The entry of the first page, if all are in one table that is there but do not fill it, and nobody watches; else -1. */
function find(tables: Tables, va: number, pages: number): number {
  const index = (va / PAGE_BYTES) & (ENTRIES - 1);
  if (tables.isWatched || pages === ENTRIES || index + pages > ENTRIES) return -1;
  let table = tables.near.find(va);
  if (table < 0 && tables.seek(va)) table = tables.near.find(va);
  return table < 0 ? -1 : table * ENTRIES + index;
}

function writePage({ words, layout }: Tables, entry: number, physical: number, flags: LeafFlags): void {
  const address = physical * layout.scale;
  words[2 * entry] = (flags.lo[12] as number) | address;
  words[2 * entry + 1] = (flags.hi[12] as number) | (address / WORD);
}

function writeRun({ writer, layout }: Tables, entry: number, pages: number, physical: number, flags: LeafFlags): void {
  const address = physical * layout.scale;
  writer.begin({
    lo: (flags.lo[12] as number) | address,
    hi: (flags.hi[12] as number) | (address / WORD),
    stride: PAGE_BYTES * layout.scale,
    copies: 1,
  });
  writer.write(entry, pages);
}
