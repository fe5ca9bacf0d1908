/**
 * KVM as a dma-buf importer. The variants are subpaths: `@dma-buf/importer-kvm/pfn` and the other contracts.
 *
 * @packageDocumentation
 */
export type { Memslot, SlotOver } from "./buffer-slots.js";
export type { Place, Placed, Placing } from "./dma-buf-source.js";
export { KvmImporter } from "./engine.js";
export type { GuestAccessKind, MmioExit, RunResult } from "./exits.js";
export type { GmemMapping } from "./gmem-mapping.js";
export type { GmemPage, GuestMemfdHost } from "./gmem-pages.js";
export { FALLOC_FL } from "./gmem-requests.js";
export type { GuestMemfd, GuestMemfdVm } from "./guest-memfd.js";
export type { GuestAccess, KvmHost, KvmVcpuHost, TrustedIoHost } from "./host.js";
export { kvmIoctl } from "./ioctl.js";
export type { Extent } from "./level.js";
export type {
  DmaBufBacking,
  Gfn,
  GmemBacking,
  MemorySlot,
  MemorySlotInit,
  SlotBacking,
  VmaBacking,
} from "./memslot.js";
export type { GfnRange } from "./mmu.js";
export type { Area, RangeStart } from "./mmu-notifier.js";
export type { KvmOptions } from "./options.js";
export type { ProcessFiles } from "./process-files.js";
export type { ProcessMemory } from "./process-memory.js";
export type { SlotFile } from "./set-region.js";
export type { FoundPage } from "./source.js";
export {
  type CreateGuestMemfd,
  decode,
  GUEST_MEMFD_FLAG,
  KVM_IOCTL,
  KVM_MEM,
  KVM_MEMORY_ATTRIBUTE,
  type KvmRequest,
  type MemoryAttributesRequest,
  type PreFaultMemory,
  type UserMemoryRegion,
} from "./uapi.js";
export type { Contracted, KvmFactory, KvmPlugin } from "./variant.js";
export type { VcpuOptions } from "./vcpu.js";
export type { InvalidateGfns, View } from "./zap.js";
