/** A user mapping of device memory has no pages that could be pinned for DMA, and a heap's has none to be found. */
import { refuse } from "./refuse.js";
import { factory, type GpuImporterFactory, type GpuImporterPlugin, plugin } from "./variant.js";

const refuses = (): never =>
  refuse(
    "EFAULT",
    "hmm_range_fault",
    "map",
    "the CPU mapping is VM_PFNMAP and cannot be pinned: import the dma-buf under a contract that maps it",
  );

/** `gpuImporter(options)(framework, host)`: every import is refused with `EFAULT` at stage `map`. */
export const gpuImporter: GpuImporterFactory = factory({ reach: () => refuses, refuses });

export const dmaBufPlugin: GpuImporterPlugin = plugin(gpuImporter, "vma");
