/** As DMA addresses; where VRAM may be taken away from who pinned it, an importer that cannot be told is refused. */
import type { DmaBufOps, Framework, PluginModule } from "@dma-buf/core";
import { type OwnedBo, refuse } from "./buffer-object.js";
import { gpuEngine } from "./engine.js";
import type { GpuExporter } from "./exporter.js";
import type { Gpu, GpuOptions } from "./gpu.js";
import type { GpuHost } from "./host.js";
import { plainOps } from "./plain.js";

function ops(gpu: Gpu, bo: OwnedBo): Omit<DmaBufOps, "release"> {
  const plain = plainOps(gpu, bo);
  if (!gpu.options.losesMemory || gpu.options.asPosted) return plain;
  return {
    ...plain,
    attach(at) {
      if (!gpu.fw.isRevocable(at))
        refuse(
          "EOPNOTSUPP",
          "amdgpu_dma_buf_attach",
          "attach",
          `${at.importerName} cannot be told when its memory goes: import with invalidate_mappings`,
        );
      return plain.attach?.(at);
    },
  };
}

/** `gpuExporter(options)(framework, host)`. */
export const gpuExporter =
  (options: GpuOptions = {}) =>
  (framework: Framework, host: GpuHost): GpuExporter =>
    gpuEngine(framework, host, options, { settles: false, ops });

export const dmaBufPlugin: PluginModule<GpuOptions, GpuHost, GpuExporter> = {
  schemaVersion: 1,
  kind: "exporter",
  name: "amdgpu",
  contracts: ["linux-7.3"],
  capabilities: ["map", "pin", "cpu-access", "mmap", "vmap", "static", "move"],
  create: gpuExporter,
};
