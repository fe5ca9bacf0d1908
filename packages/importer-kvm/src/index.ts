/**
 * KVM as a dma-buf importer. The variants are subpaths: `@dma-buf/importer-kvm/pfn` and the other contracts.
 *
 * @packageDocumentation
 */
export type { Memslot } from "./buffer-slots.js";
export { KvmImporter } from "./engine.js";
export type { GuestAccessKind, MmioExit, RunResult } from "./exits.js";
export type { GuestMemfdHost } from "./gmem-pages.js";
export { FALLOC_FL } from "./gmem-requests.js";
export type { GuestMemfd } from "./guest-memfd.js";
export type { GuestAccess, KvmHost, KvmVcpuHost } from "./host.js";
export { kvmIoctl } from "./ioctl.js";
export type { KvmOptions } from "./options.js";
export type { ProcessFiles } from "./process-files.js";
export type { ProcessMemory } from "./process-memory.js";
export type { SlotFile } from "./set-region.js";
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
export type { KvmFactory, KvmPlugin } from "./variant.js";
export type { VcpuOptions } from "./vcpu.js";
