/**
 * KVM as a dma-buf importer. The variants are `@dma-buf/importer-kvm/dma-address` and `…/pfn`.
 *
 * @packageDocumentation
 */
export { KvmImporter, type KvmOptions, type Resolve } from "./engine.js";
export type { GuestAccess, KvmHost } from "./host.js";
export type { Memslot } from "./validate.js";
