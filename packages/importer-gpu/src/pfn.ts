/** The importer maps: a page frame goes through the device's own DMA API, never on the bus as it is. */
import { type Device, DmaBufError, type Framework, type PluginModule } from "@dma-buf/core";
import { GpuImporter, type GpuOptions, type Resolve } from "./engine.js";

const resolve: Resolve = (device, run) => {
  if (run.kind !== "cpu-physical")
    throw new DmaBufError("EOPNOTSUPP", {
      op: "gpu map",
      stage: "map",
      message: `a run of kind ${run.kind}: this variant takes page frames`,
    });
  const address = device.dma.mapPhys(run.address, run.sizeBytes, "bidirectional", { mmio: true });
  return { address, release: () => device.dma.unmapPhys(address, run.sizeBytes) };
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
  contracts: ["pfn"],
  capabilities: ["invalidate", "peer2peer"],
  create: gpuImporter,
};
