/** Through a process's mapping: the fault handler says the frame of what the BAR shows, or of RAM. */
import { cpuSide } from "./cpu-side.js";
import type { GpuOptions } from "./gpu.js";
import { factory, type GpuFactory, type GpuPlugin, plugin } from "./variant.js";

/** `gpuExporter(options)(framework, host)`. A move clears the entries by the same call that tells importers. */
export const gpuExporter: GpuFactory<GpuOptions> = factory(() => ({ settles: false, posted: true, ops: cpuSide }));

export const dmaBufPlugin: GpuPlugin<GpuOptions> = plugin(gpuExporter, "vma");
