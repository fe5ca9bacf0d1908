/** As under the RFC, but asked with the reservation held, which is held until the leaf is there. */
import { type KvmFactory, type KvmPlugin, factory, physicalOf, plugin } from "./variant.js";

/** `kvmImporter(options)(framework, host)`. Nobody posted it. */
export const kvmImporter: KvmFactory = factory({
  place: (run) => ({ physical: physicalOf(run), cache: null }),
  slotOver: "buffer",
  posted: null,
});

export const dmaBufPlugin: KvmPlugin = plugin(kvmImporter, "pfn-locked");
