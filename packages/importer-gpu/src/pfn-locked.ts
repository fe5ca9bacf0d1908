/** As `pfn`, asked with the whole list locked: what was told stays true until the entries are written. */
import { reachByFrame } from "@dma-buf/scatterlist";
import { factory, type GpuImporterFactory, type GpuImporterPlugin, plugin } from "./variant.js";

/** `gpuImporter(options)(framework, host)`. Nothing was posted: `asPosted` changes nothing. */
export const gpuImporter: GpuImporterFactory = factory({
  reach: ({ device, memory }) => reachByFrame(device, "bidirectional", memory),
});

export const dmaBufPlugin: GpuImporterPlugin = plugin(gpuImporter, "pfn-locked", "invalidate", "peer2peer");
