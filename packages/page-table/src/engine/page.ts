/**
 * One page at a time, into, out of, or in a table that is remembered: what drivers do most. Linux has such a path too, in
 * `map_range`. They are written out, without a call: one that is not inlined makes a heap object of each
 * address, which costs as much as all the rest. `false` says: take the long way, which also says what is wrong.
 */
import { ENTRIES } from "./entries.js";
import type { LeafFlags } from "./flags.js";
import { PAGE_BYTES, POWER, WORD } from "./layout.js";
import { REGION_BYTES } from "./near.js";
import type { Tables } from "./tables.js";

export function mapPage(tables: Tables, va: number, physical: number, flags: LeafFlags): boolean {
  const page = va / PAGE_BYTES;
  const frame = physical / PAGE_BYTES;
  if (Math.floor(page) !== page || Math.floor(frame) !== frame) return false;
  if (!(va >= 0 && va < tables.vaEnd && physical >= 0 && physical < tables.oaEnd)) return false;
  const { words, layout, near } = tables;
  const region = (va / REGION_BYTES) | 0;
  const table = near.tables[region & near.mask] as number;
  if (table < 0 || near.regionOf[table] !== region || tables.isWatched) return false;
  const entry = table * ENTRIES + (page & (ENTRIES - 1));
  const present =
    ((words[2 * entry] as number) & layout.presentLo) | ((words[2 * entry + 1] as number) & layout.presentHi);
  if (present !== 0) return false;
  const address = physical * layout.scale;
  words[2 * entry] = (flags.lo[12] as number) | address;
  words[2 * entry + 1] = (flags.hi[12] as number) | (address / WORD);
  tables.live[table] = (tables.live[table] as number) + 1;
  return true;
}

/** @see mapPage */
export function unmapPage(tables: Tables, va: number): boolean {
  const page = va / PAGE_BYTES;
  if (!(Math.floor(page) === page && va >= 0 && va < tables.vaEnd)) return false;
  const { words, layout, near } = tables;
  const region = (va / REGION_BYTES) | 0;
  const table = near.tables[region & near.mask] as number;
  if (table < 0 || near.regionOf[table] !== region || tables.isWatched) return false;
  // A leaf that codes its size may have more than this page.
  if (layout.coded) return false;
  const entry = table * ENTRIES + (page & (ENTRIES - 1));
  const present =
    ((words[2 * entry] as number) & layout.presentLo) | ((words[2 * entry + 1] as number) & layout.presentHi);
  if (present === 0) return false;
  words[2 * entry] = 0;
  words[2 * entry + 1] = 0;
  tables.live[table] = (tables.live[table] as number) - 1;
  return true;
}

/** The physical byte at `va`, or -1 where nothing is mapped. No call either but for what is not remembered. */
export function lookup(tables: Tables, va: number): number {
  const { words, layout, near } = tables;
  const region = (va / REGION_BYTES) | 0;
  const table = near.tables[region & near.mask] as number;
  if (table < 0 || near.regionOf[table] !== region || layout.coded || !(va >= 0 && va < tables.vaEnd))
    return lookupFar(tables, va);
  const page = Math.floor(va / PAGE_BYTES);
  const entry = table * ENTRIES + (page & (ENTRIES - 1));
  const lo = words[2 * entry] as number;
  const hi = words[2 * entry + 1] as number;
  if (((lo & layout.presentLo) | (hi & layout.presentHi)) === 0) return -1;
  const frame =
    ((hi >>> layout.shift) & layout.pfnHiMask) * WORD + (((lo >>> layout.shift) | (hi << (32 - layout.shift))) >>> 0);
  return frame * PAGE_BYTES + (va - page * PAGE_BYTES);
}

/** The walk; remembers the lowest table for the next time. */
function lookupFar(tables: Tables, va: number): number {
  if (!(va >= 0 && va < tables.vaEnd)) return -1;
  let entry = tables.entryAt(tables.root, tables.top, va);
  for (let level = tables.top; ; level--) {
    if (!tables.isPresent(entry)) return -1;
    if (!tables.isTable(entry, level)) {
      if (level === 0) tables.near.remember(va, entry >>> 9);
      const sizeLog2 = tables.leafLog2(entry, level);
      const size = POWER[sizeLog2] as number;
      return tables.outputOf(entry, sizeLog2) + (va - Math.floor(va / size) * size);
    }
    entry = tables.entryAt(tables.child(entry, level), level - 1, va);
  }
}
