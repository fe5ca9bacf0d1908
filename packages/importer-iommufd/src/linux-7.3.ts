/** As merged: attaches with a device that does no DMA, pins, and asks vfio-pci in private for the one range. */
import type { BufferPath } from "./buffer-path.js";
import { byFrame } from "./place.js";
import { fakeDevice, privateWindow } from "./private-map.js";
import { factory, type IommufdFactory, type IommufdPlugin, plugin } from "./variant.js";

const path = (asksFirst: boolean): BufferPath => ({
  device: fakeDevice,
  open: (world, at) => privateWindow(world, at, asksFirst),
  // Whatever the agreement tells is mapped as device memory, and never cached.
  place: (world, run) => ({ ...byFrame(world, run), cache: "uc" }),
});

/** `iommufdImporter(options)(framework, host)`. As merged, a buffer is pinned, and may move for it, before it is turned down. */
export const iommufdImporter: IommufdFactory = factory({ conforming: path(true), asPosted: path(false) });

export const dmaBufPlugin: IommufdPlugin = plugin(iommufdImporter, "linux-7.3");
