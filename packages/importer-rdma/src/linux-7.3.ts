/** The exporter maps, as in `dma-address`; who cannot be told brings no callback, and who can pins all the same. */
import { reachAsMapped } from "@dma-buf/scatterlist";
import { look } from "./conduct.js";
import { plugin, type RdmaFactory, type RdmaPlugin, variant } from "./variant.js";

/** `rdmaImporter(options)(framework, host)`. */
export const rdmaImporter: RdmaFactory = variant({
  reach: () => reachAsMapped,
  open: look,
  syncs: false,
  stub: false,
  revocablePins: true,
});

export const dmaBufPlugin: RdmaPlugin = plugin(rdmaImporter, "linux-7.3");
