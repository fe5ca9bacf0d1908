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
  type FabricAddr,
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
export type { Importer } from "./attachments.js";
export {
  type AttachmentState,
  type CallName,
  type Contract,
  type ContractChanges,
  type Defect,
  defineContract,
  type ExporterCall,
  type FileCall,
  type FrameworkCall,
  type ImporterCall,
  kernelName,
  type LifeCycle,
  type Policy,
  type Row,
  rowsOf,
  type Window,
} from "./contract.js";
export { contracts } from "./contracts/all.js";
export { annotatedAddress } from "./contracts/annotated-address.js";
export { dmaAddress } from "./contracts/dma-address.js";
export { linux73 } from "./contracts/linux-7.3.js";
export { pfn } from "./contracts/pfn.js";
export { pfnLocked } from "./contracts/pfn-locked.js";
export { type SyncCall, type SyncRow, syncRows } from "./contracts/sync.js";
export { vma } from "./contracts/vma.js";
export type {
  DmaBuf,
  DmaBufAttachment,
  DmaBufAttachOps,
  DmaBufExportInfo,
  DmaBufOps,
  IosysMap,
  Owner,
  PfnAnswer,
  SgTable,
  Vma,
} from "./dma-buf.js";
export { ERRNO, type ErrnoName } from "./contracts/errno.js";
export { DmaBufError, type DmaBufErrorInit, type Stage } from "./error.js";
export { type Exploration, type Explored, explore, type ExploreOptions } from "./explore.js";
export { Env, type EnvOptions, type Rule } from "./env.js";
export { DmaFence, type DmaFenceOps, type FenceCallback, type WaitOptions } from "./fence.js";
export { BugSignal, type Finding } from "./finding.js";
export { Framework, type FrameworkOptions } from "./framework.js";
export type {
  AccessResult,
  Device,
  DmaApi,
  DmaIovaState,
  DmaMapAttributes,
  P2pMapType,
  P2pProvider,
  P2pVerdict,
  TableMemory,
  SystemMemory,
} from "./host.js";
export type { Ledger } from "./ledger.js";
export type { Config } from "./mappings.js";
export { isOp, isThenable, type MaySleep, type Op, perform, point, until, type Wait } from "./op.js";
export type { PluginFactory, PluginModule } from "./plugin.js";
export { DmaResv, type Held, type ResvGuard } from "./resv.js";
export { FenceCursor, type Slot, type SlotList } from "./resv-fences.js";
export type { Attributes, Direction, Run, Space } from "./run.js";
export {
  describeEnd,
  EndSignal,
  ForeignYieldError,
  type RunEnd,
  Scheduler,
  StuckError,
  type Task,
  type Trouble,
  type Waiting,
} from "./scheduler.js";
export { arrivalOrder, exhaustive, replay, replayToken, seeded, type Strategy } from "./strategy.js";
export { Trace, type TraceEvent, type TraceKind } from "./trace.js";
export { Usage, usageName, usageRw } from "./usage.js";
export { withRuns } from "./use.js";
export { annotatedOnly, dmaOnly, mappedWindow, pfnWindow, type Show, vmaWindow } from "./contracts/window.js";
export { AcquireTicket, type LockOptions, WwMutex } from "./ww-mutex.js";
