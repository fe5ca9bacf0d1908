/** The exporter mapped for this device: its address goes into the GPU's table as it is. */
import { reachAsMapped } from "@dma-buf/scatterlist";
import { asPosted } from "./as-posted.js";
import { factory, type GpuImporterFactory, type GpuImporterPlugin, plugin } from "./variant.js";

/** `gpuImporter(options)(framework, host)`. As posted: amdgpu and xe of Linux 6.13. */
export const gpuImporter: GpuImporterFactory = factory({ reach: () => reachAsMapped, asPosted });

export const dmaBufPlugin: GpuImporterPlugin = plugin(gpuImporter, "dma-address", "invalidate", "peer2peer");
