/**
 * The importer asks for page frames, holding nothing, and maps them. An answer that a revoke overtook is thrown away and
 * asked for again. Posted by nobody.
 */
import { checkedWindow } from "@dma-buf/scatterlist";
import type { BufferPath } from "./buffer-path.js";
import { byFrame } from "./place.js";
import { factory, type IommufdFactory, type IommufdPlugin, plugin } from "./variant.js";

const conforming: BufferPath = {
  device: null,
  open: ({ fw }, at) => checkedWindow(fw, at, "bidirectional"),
  place: byFrame,
  endStage: "query",
};

/** `iommufdImporter(options)(framework, host)`. `asPosted` changes nothing but that nothing is asked for again. */
export const iommufdImporter: IommufdFactory = factory({ conforming });

export const dmaBufPlugin: IommufdPlugin = plugin(iommufdImporter, "pfn");
