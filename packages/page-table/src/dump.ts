/** A whole table as hardware sees it: every present entry, in the order in which it stands in memory. */
import { hex, type PhysAddr } from "@dma-buf/core";
import { entryLog2, type Format, type Protection } from "./format.js";
import { describe } from "./refuse.js";
import {
  addressBits,
  addressIn,
  checkLevels,
  isTable,
  leafLog2,
  malformation,
  type WalkMemory,
  type WalkRoot,
  type WalkStep,
} from "./walk.js";

/** One present entry. */
export interface DumpedEntry extends WalkStep {
  /** The first address for which hardware reads it. */
  readonly va: number;
  readonly is: DumpedKind;
}

/** What an entry is to hardware. Of a leaf in several entries, each is one. */
export type DumpedKind =
  | { readonly kind: "leaf"; readonly physical: PhysAddr; readonly sizeBytes: number; readonly protection: Protection }
  /** `below` is why its entries do not follow: they did before, or there is no memory. */
  | { readonly kind: "table"; readonly physical: PhysAddr; readonly below: "follows" | "shown before" | "no memory" }
  | { readonly kind: "malformed"; readonly why: string };

/**
 * Each present entry, tables right before what they lead to. Believes nothing: a table that is reached again at the same
 * level, as one that points to itself is, is not gone through again.
 * @example
 * const memory = createTableMemory({ basePhys: addr<PhysAddr>(0x1000_0000), sizeBytes: 8 * 4096 });
 * const table = createPageTable(vtdSecondStage, memory);
 * table.map(0x5000, addr<PhysAddr>(0x8000), 4096, { read: true, write: true });
 * const view = new DataView(memory.words.buffer);
 * const hardware = { readEntry: (at) => view.getBigUint64(at - memory.basePhys, true) };
 * [...dump(vtdSecondStage, hardware, table)].map((e) => e.entry); // [0x10001003n, 0x10002003n, 0x10003003n, 0x8003n]
 */
export function* dump(format: Format, memory: WalkMemory, from: WalkRoot): Generator<DumpedEntry, void, void> {
  checkLevels(from);
  const top = from.levels - 1;
  const entries = Math.min(2 ** (addressBits(format, from.levels) - entryLog2(top)), 16 * 512);
  yield* dumpTable({ format, memory, seen: new Set() }, from.root, top, 0, entries);
}

interface Dump {
  readonly format: Format;
  readonly memory: WalkMemory;
  readonly seen: Set<string>;
}

function* dumpTable(
  { format, memory, seen }: Dump,
  table: number,
  level: number,
  base: number,
  entries: number,
): Generator<DumpedEntry, void, void> {
  for (let index = 0; index < entries; index++) {
    const entryPhys = (table + index * 8) as PhysAddr;
    const entry = memory.readEntry(entryPhys);
    if (entry === null || (entry & format.present) === 0n) continue;
    const va = base + index * 2 ** entryLog2(level);
    const is = kindOf({ format, memory, seen }, entry, level);
    yield { level, index, entryPhys, entry, va, is };
    if (is.kind === "table" && is.below === "follows")
      yield* dumpTable({ format, memory, seen }, is.physical, level - 1, va, 512);
  }
}

function kindOf({ format, memory, seen }: Dump, entry: bigint, level: number): DumpedKind {
  const why = malformation(format, entry, level);
  if (why) return { kind: "malformed", why };
  const physical = addressIn(format, entry) as PhysAddr;
  if (isTable(format, entry, level)) {
    if (memory.readEntry(physical) === null) return { kind: "table", physical, below: "no memory" };
    const key = `${level} ${physical}`;
    const below = seen.has(key) ? "shown before" : "follows";
    seen.add(key);
    return { kind: "table", physical, below };
  }
  const sizeBytes = 2 ** leafLog2(format, entry, level);
  const first = (Math.floor(physical / sizeBytes) * sizeBytes) as PhysAddr;
  return { kind: "leaf", physical: first, sizeBytes, protection: format.protection(entry, level) };
}

/**
 * One line for an entry: where it stands, its bits, what it is.
 * @example
 * const [first] = dump(ept, { readEntry: (at) => (at === 0 ? 0x5903n : 0n) }, { root: addr<PhysAddr>(0), levels: 1 });
 * dumpLine(first); // "level 0  0x0 [  0]  0x0000000000005903  va 0x0: leaf of 4 KiB at 0x5000, read, write, uc"
 */
export function dumpLine({ level, index, entryPhys, entry, va, is }: DumpedEntry): string {
  return `${stepText({ level, index, entryPhys, entry })}  va ${hex(va)}: ${kindText(is)}`;
}

/** Where an entry stands, and its bits. */
export function stepText({ level, index, entryPhys, entry }: WalkStep): string {
  const table = hex(entryPhys - index * 8);
  return `level ${level}  ${table} [${String(index).padStart(3)}]  0x${entry.toString(16).padStart(16, "0")}`;
}

function kindText(is: DumpedKind): string {
  if (is.kind === "malformed") return `malformed: ${is.why}`;
  if (is.kind === "table") return `table at ${hex(is.physical)}${is.below === "follows" ? "" : `, ${is.below}`}`;
  return `leaf of ${sizeText(is.sizeBytes)} at ${hex(is.physical)}, ${describe(is.protection)}`;
}

/** `4 KiB`, `512 GiB`. */
export function sizeText(sizeBytes: number): string {
  const unit = Math.min(5, Math.floor(Math.log2(sizeBytes) / 10));
  return `${sizeBytes / 2 ** (10 * unit)} ${["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"][unit]}`;
}
