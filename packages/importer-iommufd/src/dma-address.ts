/** A DMA address is valid for one device, and an IOAS serves several or none: there is no device to attach with. */
import { checkedWindow } from "@dma-buf/scatterlist";
import { type BufferPath, unusable } from "./buffer-path.js";
import { factory, type IommufdFactory, type IommufdPlugin, plugin } from "./variant.js";

const conforming: BufferPath = {
  device: null,
  open: ({ fw }, at) => checkedWindow(fw, at, "bidirectional"),
  // A core that let it attach would still give it nothing that a domain's table can hold.
  place(_world, run) {
    throw unusable(run);
  },
};

/** `iommufdImporter(options)(framework, host)`. Refused with `EINVAL` at attach. */
export const iommufdImporter: IommufdFactory = factory({ conforming });

export const dmaBufPlugin: IommufdPlugin = plugin(iommufdImporter, "dma-address");
