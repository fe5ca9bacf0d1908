/**
 * The modelled machine: address spaces, RAM, IOMMU, guests and devices with DMA on a PCI topology.
 *
 * @packageDocumentation
 */
export { MachineDevice } from "./device.js";
export { DeviceFabric, type FabricMemory } from "./device-fabric.js";
export type { DeviceDma } from "./dma/device-dma.js";
export { IovaAllocator, type IovaLimits } from "./dma/iova.js";
export type { DirectRegion, ReservedRegion } from "./dma/reserved.js";
export type { Attached, IommuDomain } from "./iommu/domain.js";
export type { AmdEvent, FaultLog, FaultReport, FaultSource, IommuFault, Stopped } from "./iommu/fault.js";
export type { IommuKind } from "./iommu/kind.js";
export type { IommuUnit, IovaRange, Translation } from "./iommu/unit.js";
export type { GpuPlace } from "./gpu-bytes.js";
export { GpuMemory, type GpuMemoryOptions } from "./gpu-memory.js";
export { GuestMemory, type GuestMemoryOptions } from "./guest-memory.js";
export { type GuestAccess, type GuestOptions, GuestVm, type Vcpu } from "./guest.js";
export {
  type AttributeRecord,
  consequenceOf,
  type DeclaredRange,
  effectiveEptType,
  effectiveNptType,
  MemoryAttributes,
} from "./attributes.js";
export { Cpu, type CpuAccess, type CpuMapping } from "./cpu.js";
export { CpuCache } from "./cpu-cache.js";
export { x86Pat } from "./cpu-format.js";
export type { CpuResult } from "./cpu-thread.js";
export type { Arrival, Delivery, Destination, Issued } from "./delivery.js";
export type { Answer, FunctionState, PowerState, Refusal } from "./function-registers.js";
export { FunctionStates, type ResetHook } from "./function-state.js";
export { resetBus, resetFunction } from "./function-reset.js";
export { type Counts, type Difference, differences, ResourceLedger } from "./ledger.js";
export { Machine } from "./machine.js";
export { MachineMemfds, type MemfdOptions, type MemfdsOptions, type OtherFile } from "./memfd.js";
export type { Memfd } from "./memfd-file.js";
export type { FolioRange, PinnedFolios } from "./memfd-folios.js";
export { POISON_BYTE } from "./memfd-frames.js";
export type { PageFollower } from "./memfd-migrate.js";
export type { MiscDevice } from "./memfd-misc.js";
export { F_SEAL } from "./memfd-seals.js";
export type { IommuMode, MachineOptions } from "./options.js";
export type { PageBlock } from "./page-pool.js";
export { PhysicalMemory, type PhysTarget, type RamRange } from "./physical.js";
export { isTrusted, PrivateMemory, type PrivateRange, type PrivateSpan, type Strangers, vmPath } from "./private.js";
export { type Lookup, type Way, Ways } from "./ways.js";
export { VfioPciDevice, type VfioPciOptions } from "./vfio.js";
export { MachineIommufd, type MachineIommufdOptions } from "./iommufd.js";
export { MachineDomain } from "./iommufd-domain.js";
export { type UserMapping, UserMappings } from "./user-mappings.js";
export { checkInvariants, type Invariant, type InvariantId, INVARIANTS, type Violation } from "./invariants.js";
export type { Breach } from "./invariants-access.js";
export type {
  Evidence,
  FencedWork,
  GivenAddress,
  MappedRanges,
  Moment,
  PhysRange,
  RefusedOp,
  Revocation,
  SurfaceStage,
  Turn,
} from "./invariants-evidence.js";
export { EvidenceLog, type FenceMarks, type RevocationMarks } from "./invariants-log.js";
