/**
 * Page tables bit for bit: what drivers write and what hardware reads, in one memory.
 *
 * @packageDocumentation
 */
export { drawWalk } from "./draw.js";
export { dump, type DumpedEntry, type DumpedKind, dumpLine } from "./dump.js";
export type { Touched } from "./engine/change.js";
export type { Leaf } from "./engine/inspect.js";
export { type LeafRun, LeafWriter, type Views } from "./engine/leaf-writer.js";
export type { OnStore } from "./engine/entries.js";
export type { OnRoot, TableGather } from "./engine/tables.js";
export {
  type Access,
  bit,
  entryLog2,
  field,
  type Format,
  type KnownEntry,
  knownLeaf,
  knownTable,
  type LeafShape,
  MEMORY_TYPES,
  type MemoryType,
  type Protection,
  type TableMark,
  when,
} from "./format.js";
export * from "./formats/index.js";
export { LeafSizes } from "./leaf-size.js";
export { createTableMemory, failNth, type TableMemoryOptions } from "./memory.js";
export { createPageTable, type PageTable, type PageTableOptions, type SweepOptions } from "./page-table.js";
export { refuseProtection } from "./refuse.js";
export { SoftwareTlb, type SoftwareTlbOptions } from "./tlb.js";
export {
  type FaultReason,
  walk,
  type WalkMemory,
  type WalkResult,
  type WalkRoot,
  type WalkStep,
} from "./walk.js";
