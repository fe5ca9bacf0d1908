/**
 * An RDMA device as a dma-buf importer. The variants are `@dma-buf/importer-rdma/dma-address`, `…/vma`, `…/pfn`,
 * `…/pfn-locked`, `…/annotated-address` and `…/linux-7.3`.
 *
 * @packageDocumentation
 */
export type { DmaSync, RdmaFunction, RdmaHost } from "./host.js";
export type { MemoryRegion, RdmaCosts, RdmaImporter, RdmaLedger, RdmaResult, RdmaTarget } from "./importer.js";
export type { Side } from "./mkey.js";
export type { RdmaGuards, RdmaOptions } from "./options.js";
export type { MrAccess, MrKind, RegMr } from "./request.js";
export type { RdmaFactory, RdmaPlugin } from "./variant.js";
