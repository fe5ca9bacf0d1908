/** Through a process's mapping: the fault handler says the frame of what the BAR shows, or of RAM. */
import type { Framework, PluginModule } from "@dma-buf/core";
import { cpuSide } from "./cpu-side.js";
import { gpuEngine } from "./engine.js";
import type { GpuExporter } from "./exporter.js";
import type { GpuOptions } from "./gpu.js";
import type { GpuHost } from "./host.js";

/** `gpuExporter(options)(framework, host)`. A move clears the entries by the same call that tells importers. */
export const gpuExporter =
  (options: GpuOptions = {}) =>
  (framework: Framework, host: GpuHost): GpuExporter =>
    gpuEngine(framework, host, options, { settles: false, ops: cpuSide });

export const dmaBufPlugin: PluginModule<GpuOptions, GpuHost, GpuExporter> = {
  schemaVersion: 1,
  kind: "exporter",
  name: "amdgpu",
  contracts: ["vma"],
  capabilities: ["cpu-access", "mmap", "vmap", "move"],
  create: gpuExporter,
};
