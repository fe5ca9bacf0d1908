/** The exporter maps and says where an address is valid and how it may be cached: the leaf says the same. */
import { type KvmFactory, type KvmPlugin, factory, physicalOf, plugin } from "./variant.js";

/**
 * `kvmImporter(options)(framework, host)`. A reading, by the mail of 22 January 2025: KVM comes without a device and is given
 * the CPU's addresses. By that of 16 January they would be no business of a dma-buf.
 */
export const kvmImporter: KvmFactory = factory({
  place(run) {
    const attributes = run.kind === "cpu-physical" ? run.attributes : null;
    const owner = attributes?.owner;
    return { physical: physicalOf(run), cache: attributes?.cache ?? null, ...(owner ? { owner } : {}) };
  },
  lookAroundBytes: 2 ** 30,
  slotOver: "buffer",
  posted: null,
});

export const dmaBufPlugin: KvmPlugin = plugin(kvmImporter, "annotated-address");
