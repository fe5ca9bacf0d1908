/** The exporter mapped for this function: its addresses go into the translation table as they are. */
import { reachAsMapped } from "@dma-buf/scatterlist";
import { look } from "./conduct.js";
import { plugin, type RdmaFactory, type RdmaPlugin, variant } from "./variant.js";

/**
 * `rdmaImporter(options)(framework, host)`. The callback is mandatory, so one that is pinned brings a stub. A revocable one
 * does not pin: a reading, as its class came later; an exporter that must be able to revoke refuses every pin.
 */
export const rdmaImporter: RdmaFactory = variant({
  reach: () => reachAsMapped,
  open: look,
  syncs: false,
  stub: true,
  revocablePins: false,
});

export const dmaBufPlugin: RdmaPlugin = plugin(rdmaImporter, "dma-address");
