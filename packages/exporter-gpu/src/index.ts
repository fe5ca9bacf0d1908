/**
 * A GPU's VRAM and RAM as dma-bufs. The variants are `@dma-buf/exporter-gpu/dma-address`, `…/vma`, `…/pfn`, `…/pfn-locked`,
 * `…/annotated-address` and `…/linux-7.3`.
 *
 * @packageDocumentation
 */
export type { BufferObject, BufferObjectOptions } from "./buffer-object.js";
export type { GpuExporter, GpuLedger } from "./exporter.js";
export { FABRIC_ADDRESS, type FabricAddresses } from "./fabric-address.js";
export type { GpuOptions } from "./gpu.js";
export type { Block, Domain, GpuHost, Place } from "./host.js";
export type { FabricBlock } from "./memory.js";
