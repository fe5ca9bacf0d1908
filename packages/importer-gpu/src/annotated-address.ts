/**
 * Each address says in which space it is valid: the GPU takes those of its bus, its domain and its fabric, writes what is
 * the fabric's as device memory, and snoops where the contract says that a CPU caches. A reading: nothing was coded.
 */
import type { Run } from "@dma-buf/core";
import { reachAnnotated } from "@dma-buf/scatterlist";
import { refuse } from "./refuse.js";
import { factory, type GpuImporterFactory, type GpuImporterPlugin, plugin } from "./variant.js";

/** `gpuImporter(options)(framework, host)`. Nothing was posted: `asPosted` changes nothing. */
export const gpuImporter: GpuImporterFactory = factory({
  reach({ device, fabric }) {
    const reach = reachAnnotated(device);
    return (run) => (run.kind === "device-private" && !fabric ? noWay(run) : reach(run));
  },
});

/** On the bus, the fabric's number would be somebody else's address. */
const noWay = ({ offset }: Run): never =>
  refuse("EOPNOTSUPP", "reach", "map", "an address of a fabric, to which the host shows no way: give it one", {
    offset,
  });

export const dmaBufPlugin: GpuImporterPlugin = plugin(gpuImporter, "annotated-address", "invalidate", "peer2peer");
