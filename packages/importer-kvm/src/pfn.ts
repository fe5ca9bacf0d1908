/** The importer maps: a page frame goes into the second stage as it is. Nobody says how it is cached. */
import { type KvmFactory, type KvmPlugin, factory, physicalOf, plugin } from "./variant.js";

/** `kvmImporter(options)(framework, host)`. A frame is true for an instant: the sequence count catches what is late. */
export const kvmImporter: KvmFactory = factory({
  place: (run) => ({ physical: physicalOf(run), cache: null }),
  slotOver: "buffer",
  posted: "rfc",
});

export const dmaBufPlugin: KvmPlugin = plugin(kvmImporter, "pfn");
