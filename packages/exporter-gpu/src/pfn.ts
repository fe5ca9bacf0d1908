/** The importer asks for page frames, holding nothing: the exporter waits until the bytes are where it says. */
import type { Framework, PluginModule } from "@dma-buf/core";
import { gpuEngine } from "./engine.js";
import type { GpuExporter } from "./exporter.js";
import { framesVariant } from "./frames.js";
import type { GpuOptions } from "./gpu.js";
import type { GpuHost } from "./host.js";

/** Nobody posted a GPU's `get_pfn`: there is no `asPosted`. */
export type GpuPfnOptions = Omit<GpuOptions, "asPosted">;

/** `gpuExporter(options)(framework, host)`. */
export const gpuExporter =
  (options: GpuPfnOptions = {}) =>
  (framework: Framework, host: GpuHost): GpuExporter =>
    gpuEngine(framework, host, options, framesVariant);

export const dmaBufPlugin: PluginModule<GpuPfnOptions, GpuHost, GpuExporter> = {
  schemaVersion: 1,
  kind: "exporter",
  name: "amdgpu",
  contracts: ["pfn"],
  capabilities: ["map", "get_pfn", "pin", "cpu-access", "mmap", "vmap", "static", "move"],
  create: gpuExporter,
};
