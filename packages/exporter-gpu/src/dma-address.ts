/** The exporter maps for the attached device: RAM for everybody, VRAM for who reaches the BAR. */
import type { GpuOptions } from "./gpu.js";
import { plainOps } from "./plain.js";
import { factory, type GpuFactory, type GpuPlugin, plugin } from "./variant.js";

/** `gpuExporter(options)(framework, host)`. */
export const gpuExporter: GpuFactory<GpuOptions> = factory(() => ({ settles: false, posted: true, ops: plainOps }));

export const dmaBufPlugin: GpuPlugin<GpuOptions> = plugin(gpuExporter, "dma-address", "map", "pin", "static");
