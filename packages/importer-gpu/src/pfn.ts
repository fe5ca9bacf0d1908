/**
 * The importer maps: a page frame goes through the device's own DMA API, never on the bus as it is. The question takes the
 * reservation itself, so the driver asks before it locks its list, and once more if an invalidate came between.
 */
import { reachByFrame } from "@dma-buf/scatterlist";
import { factory, type GpuImporterFactory, type GpuImporterPlugin, plugin } from "./variant.js";

/** `gpuImporter(options)(framework, host)`. Nobody posted a GPU that takes page frames: `asPosted` changes nothing. */
export const gpuImporter: GpuImporterFactory = factory({
  reach: ({ device, memory }) => reachByFrame(device, "bidirectional", memory),
});

export const dmaBufPlugin: GpuImporterPlugin = plugin(gpuImporter, "pfn", "invalidate", "peer2peer");
