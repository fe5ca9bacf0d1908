/** What KVM does today: the slot is over a mapping of the process, and the MMU notifier tells when its pages go. */
import { type KvmFactory, type KvmPlugin, factory, physicalOf, plugin } from "./variant.js";

/**
 * `kvmImporter(options)(framework, host)`. What is merged obeys: `asPosted` changes nothing. The contract's mapping carries
 * frames without a protection, so that KVM on x86 goes by the frame here, as it does in Linux.
 */
export const kvmImporter: KvmFactory = factory({
  place: (run) => ({ physical: physicalOf(run), cache: null }),
  slotOver: "mapping",
  posted: false,
});

export const dmaBufPlugin: KvmPlugin = plugin(kvmImporter, "vma");
