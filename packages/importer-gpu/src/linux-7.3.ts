/** As `dma-address`; and who cannot let go leaves the callback out, which an exporter that revokes can see. */
import { reachAsMapped } from "@dma-buf/scatterlist";
import { asPosted } from "./as-posted.js";
import { factory, type GpuImporterFactory, type GpuImporterPlugin, plugin } from "./variant.js";

/** `gpuImporter(options)(framework, host)`. As posted: amdgpu and xe of Linux 7.3. */
export const gpuImporter: GpuImporterFactory = factory({ reach: () => reachAsMapped, asPosted, deafIfPinned: true });

export const dmaBufPlugin: GpuImporterPlugin = plugin(gpuImporter, "linux-7.3", "invalidate", "peer2peer");
