/** What KVM does today: it takes page frames out of a CPU mapping of the BAR, which the exporter fills and empties. */
import { type Operations, plugin, variant, type VfioFactory, type VfioPlugin } from "./variant.js";

const conforming: Operations = (priv) => ({
  mmap(_buf, vma) {
    const { binding, memory, mmaps } = priv.owner;
    binding.checkMmap(priv.regionIndex);
    vma.cache = memory.cache;
    mmaps.fill(vma, priv.vecs, () => !priv.revoked);
  },
});

/** `vfioExporter(options)(framework, host)`. What is merged obeys: `asPosted` changes nothing. */
export const vfioExporter: VfioFactory = variant({ conforming, byPage: true });

export const dmaBufPlugin: VfioPlugin = plugin(vfioExporter, "vma", "mmap", "revoke");
