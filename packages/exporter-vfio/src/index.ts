/**
 * vfio-pci as a dma-buf exporter. The variants are `@dma-buf/exporter-vfio/dma-address` and `…/pfn`.
 *
 * @packageDocumentation
 */
export type { VfioExport, VfioExporter } from "./engine.js";
export type { VfioHost } from "./host.js";
export type { DmaRange, PhysVec } from "./validate.js";
