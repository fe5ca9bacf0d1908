/** Changing leaves that stay where they are: what they allow, and what hardware noted in them. */
import { hex, type PhysAddr } from "@dma-buf/core";
import type { LeafShape, Protection } from "../format.js";
import { refuse } from "../refuse.js";
import { entriesOf, entryBits, type Place, places } from "./inspect.js";
import { high, low } from "./layout.js";
import type { Tables } from "./tables.js";

/** What a leaf says besides its address and its size: what it allows, and what hardware noted in it. */
export interface Content {
  readonly protection: Protection;
  readonly noted: bigint;
}

/** Leaves of one size from `entry` on, for consecutive addresses from `physical` on. */
export function writeLeaves(
  tables: Tables,
  { protection, noted }: Content,
  { level, sizeLog2 }: LeafShape,
  entry: number,
  entries: number,
  physical: number,
): void {
  const { format, layout } = tables;
  const flags = (format.leafFlags({ level, sizeLog2 }, protection) & ~(format.accessed | format.dirty)) | noted;
  const copies = entriesOf({ level, sizeLog2 });
  tables.writer.begin(layout.run(low(flags), high(flags), physical, sizeLog2, copies));
  tables.writer.write(entry, entries / copies);
  tables.stored(entry, entries);
}

/** Gives the leaves of a range other permissions, or another memory type. All or none. */
export function protectRange(tables: Tables, va: number, end: number, protection: Protection): void {
  checkCovered(tables, va, end);
  for (const place of places(tables, va, end)) {
    const entries = entriesOf(place);
    const physical = tables.outputOf(place.entry, place.sizeLog2);
    writeLeaves(tables, { protection, noted: notedIn(tables, place) }, place, place.entry, entries, physical);
  }
}

/** Every byte must be mapped, by leaves that lie inside. */
function checkCovered(tables: Tables, from: number, end: number): void {
  let va = from;
  for (const { va: at, sizeLog2 } of places(tables, from, end)) {
    const sizeBytes = 2 ** sizeLog2;
    if (at > va) break;
    if (at < from || at + sizeBytes > end)
      refuse("EINVAL", "protect", `the leaf of 2^${sizeLog2} bytes at ${hex(at)} lies only partly inside: split it`, {
        va: at,
        sizeBytes,
      });
    va = at + sizeBytes;
  }
  if (va < end) refuse("ENOENT", "protect", `nothing is mapped at ${hex(va)}: map it first, or end there`, { va });
}

/** Accessed and dirty, as any entry of a leaf has them. */
export function notedIn(tables: Tables, place: Place): bigint {
  return entryBits(tables, place) & (tables.format.accessed | tables.format.dirty);
}

/** A leaf through which hardware went. */
export interface Touched {
  readonly va: number;
  readonly physical: PhysAddr;
  readonly sizeBytes: number;
}

/** The leaves with a byte in the range that have `bit` in any of their entries; takes it out of all of them. */
export function sweep(tables: Tables, bit: bigint, va: number, end: number, clear: boolean): Touched[] {
  const touched: Touched[] = [];
  for (const place of places(tables, va, end)) {
    if ((entryBits(tables, place) & bit) === 0n) continue;
    const { entry, sizeLog2 } = place;
    const physical = tables.outputOf(entry, sizeLog2) as PhysAddr;
    touched.push({ va: place.va, physical, sizeBytes: 2 ** sizeLog2 });
    if (!clear) continue;
    for (let i = entry; i < entry + entriesOf(place); i++) tables.all[i] = (tables.all[i] as bigint) & ~bit;
    tables.stored(entry, entriesOf(place));
  }
  return touched;
}
