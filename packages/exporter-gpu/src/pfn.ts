/** The importer asks for page frames, holding nothing: the exporter waits until the bytes are where it says. */
import { framesVariant } from "./frames.js";
import type { GpuOptions } from "./gpu.js";
import { factory, type GpuFactory, type GpuPlugin, plugin } from "./variant.js";

/** Nobody posted a GPU's `get_pfn`: there is no `asPosted`. */
export type GpuPfnOptions = Omit<GpuOptions, "asPosted">;

/** `gpuExporter(options)(framework, host)`. */
export const gpuExporter: GpuFactory<GpuPfnOptions> = factory(() => framesVariant);

export const dmaBufPlugin: GpuPlugin<GpuPfnOptions> = plugin(gpuExporter, "pfn", "map", "get_pfn", "pin", "static");
