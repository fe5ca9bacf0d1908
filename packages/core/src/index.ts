/**
 * The dma-buf contract, small and complete: objects and calls, contracts as data, the reservation, the scheduler
 * that owns every step, errors, findings, and the host interfaces that plugins share.
 *
 * @packageDocumentation
 */
export {
  type Addr,
  addr,
  type BusAddr,
  type DmaAddr,
  type Gpa,
  hex,
  type Iova,
  isPageAligned,
  PAGE_SHIFT,
  PAGE_SIZE,
  type Pfn,
  type PhysAddr,
  pfnOf,
  physOf,
} from "./address.js";
export {
  type AttachmentState,
  type CallName,
  type Contract,
  type ContractChanges,
  defineContract,
  type ExporterCall,
  type FrameworkCall,
  type ImporterCall,
  type LifeCycle,
  type Policy,
  type Row,
  type Window,
} from "./contract.js";
export { dmaAddress } from "./contracts/dma-address.js";
export { pfn } from "./contracts/pfn.js";
export type {
  DmaBuf,
  DmaBufAttachment,
  DmaBufAttachOps,
  DmaBufExportInfo,
  DmaBufOps,
  PfnAnswer,
  SgTable,
} from "./dma-buf.js";
export { DmaBufError, type DmaBufErrorInit, ERRNO, type ErrnoName, type Stage } from "./error.js";
export { type Exploration, type Explored, explore, type ExploreOptions } from "./explore.js";
export { BugSignal, type Finding } from "./finding.js";
export { Framework, type FrameworkOptions, type Importer } from "./framework.js";
export type {
  AccessResult,
  Device,
  DmaApi,
  DmaMapAttributes,
  P2pMapType,
  P2pProvider,
  P2pVerdict,
  TableMemory,
} from "./host.js";
export type { Ledger } from "./ledger.js";
export { isOp, isThenable, type MaySleep, type Op, perform, point, until, type Wait } from "./op.js";
export { checkPlugin, type PluginFactory, type PluginModule } from "./plugin.js";
export { type AcquireTicket, DmaResv, type Held, type ResvGuard } from "./resv.js";
export type { Attributes, Direction, Run, Space } from "./run.js";
export { describeEnd, type RunEnd, Scheduler, StuckError, type Task, type Waiting } from "./scheduler.js";
export { arrivalOrder, exhaustive, replay, replayToken, seeded, type Strategy } from "./strategy.js";
export { Trace, type TraceEvent, type TraceKind } from "./trace.js";
export { withRuns } from "./use.js";
