/**
 * A GPU that imports dma-bufs into its own virtual memory. The variants are `@dma-buf/importer-gpu/dma-address`, `…/vma`,
 * `…/pfn`, `…/pfn-locked`, `…/annotated-address` and `…/linux-7.3`.
 *
 * @packageDocumentation
 */
export type { GpuOptions } from "./gpu.js";
export type { GpuFabric, GpuHost, GpuVirtualFunction } from "./host.js";
export type {
  Command,
  GpuImporter,
  GpuImporterLedger,
  GpuJob,
  GpuVm,
  ImportedBuffer,
  Listed,
  Submission,
  VmRange,
} from "./importer.js";
export type { GpuImporterFactory, GpuImporterPlugin } from "./variant.js";
