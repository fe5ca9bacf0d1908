/** Each address says where it is valid: on the function's bus, or in its domain. What is valid elsewhere is refused. */
import { reachAnnotated } from "@dma-buf/scatterlist";
import { look } from "./conduct.js";
import { plugin, type RdmaFactory, type RdmaPlugin, variant } from "./variant.js";

/**
 * `rdmaImporter(options)(framework, host)`. A reading, as `dma-address` in what nobody said: one that is pinned brings a stub,
 * and one that is revocable does not pin.
 */
export const rdmaImporter: RdmaFactory = variant({
  reach: (device) => reachAnnotated(device),
  open: look,
  syncs: false,
  stub: true,
  revocablePins: false,
});

export const dmaBufPlugin: RdmaPlugin = plugin(rdmaImporter, "annotated-address");
