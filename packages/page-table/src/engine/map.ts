/** Mapping a range: which leaves, in which tables, and everything back where it was if one of them cannot be. */
import { hex } from "@dma-buf/core";
import { entryLog2 } from "../format.js";
import type { LeafSizes } from "../leaf-size.js";
import { refuse } from "../refuse.js";
import { ENTRIES } from "./entries.js";
import { type LeafFlags, levelOf } from "./flags.js";
import { POWER } from "./layout.js";
import { firstLeaf } from "./search.js";
import type { Tables } from "./tables.js";
import { releaseBelow, unmapRange } from "./unmap.js";

/** A range that was checked: aligned, inside the format's widths. */
export interface Mapping {
  readonly va: number;
  readonly physical: number;
  readonly sizeBytes: number;
  readonly flags: LeafFlags;
}

/**
 * @throws DmaBufError `EADDRINUSE` before anything is written · `ENOMEM`, and then all is as before, but that tables
 * without a leaf may be gone. Linux meets what is mapped on the way and takes back what it wrote until then.
 */
export function mapRange(tables: Tables, sizes: LeafSizes, { va, physical, sizeBytes, flags }: Mapping): void {
  const end = va + sizeBytes;
  const delta = physical - va;
  const { reached } = tables;
  const taken = firstLeaf(tables, va, end);
  if (taken >= 0) refuse("EADDRINUSE", "map", `${hex(taken)} is mapped already: unmap it first`, { va: taken });
  tables.begin();
  reached[0] = va;
  try {
    tables.grow(end, levelOf(sizes.best(va, physical, sizeBytes)));
    for (let at = va; at < end; at = reached[0]) {
      const log2 = sizes.best(at, at + delta, end - at);
      const leaves = sizes.count(at, at + delta, end - at, log2);
      const run = new Run(tables, log2);
      const { lo, hi } = flags;
      tables.writer.begin(tables.layout.run(lo[log2] as number, hi[log2] as number, at + delta, log2, run.copies));
      mapIn(run, tables.root, tables.top, at, at + leaves * run.leafBytes);
    }
  } catch (error) {
    takeBack(tables, va, reached[0]);
    throw error;
  }
}

/** On its own, as a function that makes a closure keeps its numbers on the heap from the start. */
function takeBack(tables: Tables, va: number, reached: number): void {
  tables.undo(() => unmapRange(tables, va, reached));
}

/** Consecutive leaves of one size, and where they go. */
class Run {
  readonly tables: Tables;
  readonly level: number;
  readonly leafBytes: number;
  readonly perLeaf: number;
  /** Entries that a leaf takes. */
  readonly copies: number;

  constructor(tables: Tables, log2: number) {
    this.tables = tables;
    this.level = levelOf(log2);
    this.leafBytes = POWER[log2] as number;
    this.perLeaf = 1 / this.leafBytes;
    this.copies = POWER[log2 - entryLog2(this.level)] as number;
  }
}

/** The part of a run that one table covers, which is above the leaves' own unless that is the root. */
function mapIn(run: Run, table: number, level: number, va: number, end: number): void {
  const { tables } = run;
  if (level === run.level) return mapLeaves(run, table, va, end);
  const bytes = tables.layout.entryBytes[level] as number;
  let entry = tables.entryAt(table, level, va);
  let next = (Math.floor(va / bytes) + 1) * bytes;
  for (let at = va; at < end; at = next, next += bytes, entry++) {
    const child = tables.childFor(entry, level);
    if (level - 1 === run.level) mapLeaves(run, child, at, Math.min(end, next));
    else mapIn(run, child, level - 1, at, Math.min(end, next));
  }
}

function mapLeaves(run: Run, table: number, va: number, end: number): void {
  const { tables, copies } = run;
  const entry = tables.entryAt(table, run.level, va);
  const leaves = (end - va) * run.perLeaf;
  const entries = leaves * copies;
  if (run.level > 0) makeWay(run, entry, entries);
  tables.writer.write(entry, leaves);
  if (run.level === 0) tables.count(entry, entries);
  else tables.countRun(entry, entries);
  tables.stored(entry, entries);
  tables.reached[0] = end;
}

/** What stands in the way of larger leaves are tables without a leaf. */
function makeWay({ tables, level }: Run, entry: number, entries: number): void {
  const end = entry + entries;
  if (tables.live[entry >>> 9] === 0 && (entry & (ENTRIES - 1)) + entries <= ENTRIES) return;
  for (let at = entry; (at += tables.countEmpty(at, end - at)) < end; at++) {
    const table = tables.child(at, level);
    releaseBelow(tables, table, level - 1);
    tables.drop(at, table);
  }
}
