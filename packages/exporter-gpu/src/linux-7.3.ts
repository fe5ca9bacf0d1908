/** As DMA addresses; where VRAM may be taken away from who pinned it, an importer that cannot be told is refused. */
import type { DmaBufOps } from "@dma-buf/core";
import { type OwnedBo, refuse } from "./buffer-object.js";
import type { Gpu, GpuOptions } from "./gpu.js";
import { plainOps } from "./plain.js";
import { factory, type GpuFactory, type GpuPlugin, plugin } from "./variant.js";

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
export const gpuExporter: GpuFactory<GpuOptions> = factory(() => ({ settles: false, posted: true, ops }));

export const dmaBufPlugin: GpuPlugin<GpuOptions> = plugin(gpuExporter, "linux-7.3", "map", "pin", "static");
