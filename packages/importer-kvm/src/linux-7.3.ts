/** Linux 7.3 as merged has no KVM importer: one that comes without a device is refused. */
import { type KvmFactory, type KvmPlugin, factory, physicalOf, plugin } from "./variant.js";

/** `kvmImporter(options)(framework, host)`. A slot over a buffer ends in `EINVAL` at stage `attach`; all other slots are there. */
export const kvmImporter: KvmFactory = factory({
  place: (run) => ({ physical: physicalOf(run), cache: null }),
  slotOver: "buffer",
  posted: null,
});

export const dmaBufPlugin: KvmPlugin = plugin(kvmImporter, "linux-7.3");
