/**
 * Each address says in which space it is valid: the GPU takes those of its bus, its domain and its fabric, writes what is
 * the fabric's as device memory, and snoops where the contract says that a CPU caches. A reading: nothing was coded.
 */
import { reachAnnotated } from "@dma-buf/scatterlist";
import { factory, type GpuImporterFactory, type GpuImporterPlugin, plugin } from "./variant.js";

/** `gpuImporter(options)(framework, host)`. Nothing was posted: `asPosted` changes nothing. */
export const gpuImporter: GpuImporterFactory = factory({ reach: ({ device }) => reachAnnotated(device) });

export const dmaBufPlugin: GpuImporterPlugin = plugin(gpuImporter, "annotated-address", "invalidate", "peer2peer");
