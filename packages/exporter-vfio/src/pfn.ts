/** The importer maps: the exporter says in which page frames the BAR lies, and to whom it will not say it. */
import { frames, needPeer2peer, needRouteByPfn, unpinnable } from "./serve.js";
import { type Operations, plugin, variant, type VfioFactory, type VfioPlugin } from "./variant.js";

const conforming: Operations = (priv) => ({
  interfaces: priv.owner.binding.interfaces,
  ...unpinnable,
  ...frames(priv),
  attach(at) {
    // A static importer is refused by the pin that the core asks for. Revoked or not, is asked at each page.
    if (!at.importer) return;
    needPeer2peer(at);
    priv.checkShared(at, "attach");
    needRouteByPfn(at, priv);
  },
});

/** The RFC of January 2025: whoever attaches is told, one page at a time, and a revoke waits for nothing. */
const asPosted: Operations = (priv) => ({
  interfaces: priv.owner.binding.interfaces,
  ...unpinnable,
  ...frames(priv, () => 0),
});

/** `vfioExporter(options)(framework, host)`. */
export const vfioExporter: VfioFactory = variant({ conforming, asPosted, early: true });

export const dmaBufPlugin: VfioPlugin = plugin(vfioExporter, "pfn", "get_pfn", "revoke");
