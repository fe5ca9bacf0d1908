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
export type { OnRoot, OnStore, TableGather } from "./engine/tables.js";
export {
  type Access,
  type Format,
  type LeafShape,
  MEMORY_TYPES,
  type MemoryType,
  type Protection,
  type TableMark,
} from "./format.js";
export { amdV1, type AmdV1Options, createAmdV1 } from "./formats/amd-v1.js";
export { armStage2, type ArmStage2Options, createArmStage2 } from "./formats/arm-stage2.js";
export { createEpt, ept, type EptOptions } from "./formats/ept.js";
export { formats } from "./formats/index.js";
export { createRiscvSv48, riscvSv48, type RiscvSv48Options } from "./formats/riscv-sv48.js";
export { createVtdSecondStage, vtdSecondStage, type VtdSecondStageOptions } from "./formats/vtd-second-stage.js";
export { createNpt, createX86, npt, x86, type X86Options } from "./formats/x86-64.js";
export { LeafSizes } from "./leaf-size.js";
export { createTableMemory, failNth, type TableMemoryOptions } from "./memory.js";
export { createPageTable, type PageTable, type PageTableOptions } from "./page-table.js";
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
