/** The importer maps: it asks for page frames holding nothing, and asks again when an invalidate came between. */
import { dmaOnly, type DmaBufAttachment, type Framework, mappedWindow, type Op, type Window } from "@dma-buf/core";
import { checked, reachAsMapped } from "@dma-buf/scatterlist";
import type { Conduct } from "./conduct.js";
import { byFrame } from "./frames.js";
import { plugin, type RdmaFactory, type RdmaPlugin, variant } from "./variant.js";

// oxlint-disable-next-line require-yield -- an Op that never sleeps
function* lookMapped(fw: Framework, at: DmaBufAttachment): Op<Window> {
  return checked(fw, at, mappedWindow(fw, at, "bidirectional", dmaOnly(fw)));
}

/** As merged: it asks for a mapping, and an exporter that has page frames alone has none. */
const asPosted: Conduct = { ...byFrame, reach: () => reachAsMapped, open: lookMapped, syncs: false };

/** `rdmaImporter(options)(framework, host)`. A revocable region does not pin: a reading, as under `dma-address`. */
export const rdmaImporter: RdmaFactory = variant(byFrame, asPosted);

export const dmaBufPlugin: RdmaPlugin = plugin(rdmaImporter, "pfn");
