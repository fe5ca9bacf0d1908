/** The importer maps: page frames as in `pfn`, asked with the reservation held until the table is written. */
import { byFrame } from "./frames.js";
import { plugin, type RdmaFactory, type RdmaPlugin, variant } from "./variant.js";

/** `rdmaImporter(options)(framework, host)`. A revocable region does not pin: a reading, as under `dma-address`. */
export const rdmaImporter: RdmaFactory = variant(byFrame);

export const dmaBufPlugin: RdmaPlugin = plugin(rdmaImporter, "pfn-locked");
