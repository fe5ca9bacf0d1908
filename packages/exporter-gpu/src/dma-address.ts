/** The exporter maps for the attached device: RAM for everybody, VRAM for who reaches the BAR. */
import type { Framework, PluginModule } from "@dma-buf/core";
import { gpuEngine } from "./engine.js";
import type { GpuExporter } from "./exporter.js";
import type { GpuOptions } from "./gpu.js";
import type { GpuHost } from "./host.js";
import { plainOps } from "./plain.js";

/** `gpuExporter(options)(framework, host)`. */
export const gpuExporter =
  (options: GpuOptions = {}) =>
  (framework: Framework, host: GpuHost): GpuExporter =>
    gpuEngine(framework, host, options, { settles: false, ops: plainOps });

export const dmaBufPlugin: PluginModule<GpuOptions, GpuHost, GpuExporter> = {
  schemaVersion: 1,
  kind: "exporter",
  name: "amdgpu",
  contracts: ["dma-address"],
  capabilities: ["map", "pin", "cpu-access", "mmap", "vmap", "static", "move"],
  create: gpuExporter,
};
