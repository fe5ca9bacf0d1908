/**
 * Page tables bit for bit: what drivers write and what hardware reads, in one memory.
 *
 * @packageDocumentation
 */
export { createPageTable, type Leaf, type PageTable, type PageTableOptions } from "./engine.js";
export { type Access, type Decoded, type Entry, entryLog2, type Format, type Protection } from "./format.js";
export { ept } from "./formats/ept.js";
export { vtdSecondStage } from "./formats/vtd-second-stage.js";
export { createTableMemory, type TableMemoryOptions } from "./memory.js";
export { walk, type WalkResult, type WalkStep } from "./walk.js";
