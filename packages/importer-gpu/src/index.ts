/**
 * A device that does DMA to a dma-buf. The variants are `@dma-buf/importer-gpu/dma-address` and `…/pfn`.
 *
 * @packageDocumentation
 */
export { GpuImporter, type GpuOptions, type Resolve, type Resolved } from "./engine.js";
