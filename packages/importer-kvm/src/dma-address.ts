/** A DMA address is valid for one device, and a guest is none: the framework refuses who comes without one. */
import { type KvmFactory, type KvmPlugin, factory, physicalOf, plugin } from "./variant.js";

/** `kvmImporter(options)(framework, host)`. A slot over a buffer ends in `EINVAL` at stage `attach`; all other slots are there. */
export const kvmImporter: KvmFactory = factory({
  place: (run) => ({ physical: physicalOf(run), cache: null }),
  slotOver: "buffer",
  posted: null,
});

export const dmaBufPlugin: KvmPlugin = plugin(kvmImporter, "dma-address");
