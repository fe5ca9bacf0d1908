/** The importer maps: it asks for page frames holding nothing, and asks again when an invalidate came between. */
import { byFrame } from "./frames.js";
import { plugin, type RdmaFactory, type RdmaPlugin, variant } from "./variant.js";

/** `rdmaImporter(options)(framework, host)`. A revocable region does not pin: a reading, as under `dma-address`. */
export const rdmaImporter: RdmaFactory = variant(byFrame);

export const dmaBufPlugin: RdmaPlugin = plugin(rdmaImporter, "pfn");
