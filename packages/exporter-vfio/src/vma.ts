/** What KVM does today: it takes page frames out of a CPU mapping of the BAR, which the exporter fills and empties. */
import type { PluginModule } from "@dma-buf/core";
import type { VfioExporter } from "./exporter.js";
import type { VfioHost } from "./host.js";
import { type Operations, plugin, variant, type VfioFactory, type VfioOptions } from "./variant.js";

const conforming: Operations = (priv) => ({
  mmap(_buf, vma) {
    const { binding, mmaps } = priv.owner;
    binding.checkHost("mmap", priv.regionIndex);
    mmaps.fill(vma, priv.vecs, () => !priv.revoked);
  },
});

/** `vfioExporter(options)(framework, host)`. What is merged obeys: `asPosted` changes nothing. */
export const vfioExporter: VfioFactory = variant({ conforming });

export const dmaBufPlugin: PluginModule<VfioOptions, VfioHost, VfioExporter> = plugin(
  vfioExporter,
  "vma",
  "mmap",
  "revoke",
);
