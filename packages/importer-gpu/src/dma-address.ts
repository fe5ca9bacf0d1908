/** The exporter mapped for this device: its address is used as it is. */
import { type Device, DmaBufError, type Framework, type PluginModule } from "@dma-buf/core";
import { GpuImporter, type GpuOptions, type Resolve } from "./engine.js";

const resolve: Resolve = (_device, run) => {
  if (run.kind !== "dma")
    throw new DmaBufError("EOPNOTSUPP", {
      op: "gpu map",
      stage: "map",
      message: `a run of kind ${run.kind}: this variant takes DMA addresses`,
    });
  return { address: run.address, release() {} };
};

/** `gpuImporter(options)(framework, device)`. */
export const gpuImporter =
  (options: GpuOptions = {}) =>
  (framework: Framework, device: Device): GpuImporter =>
    new GpuImporter(framework, device, resolve, options);

export const dmaBufPlugin: PluginModule<GpuOptions, Device, GpuImporter> = {
  schemaVersion: 1,
  kind: "importer",
  name: "gpu",
  contracts: ["dma-address"],
  capabilities: ["invalidate", "peer2peer"],
  create: gpuImporter,
};
