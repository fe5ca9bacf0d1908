/** As `pfn`, under the rules of revoke: the core lets nobody in who cannot be told that the BAR goes. */
import { frames, needPeer2peer, needRouteByPfn, unpinnable } from "./serve.js";
import { type Operations, plugin, variant, type VfioFactory, type VfioPlugin } from "./variant.js";

const conforming: Operations = (priv) => ({
  interfaces: priv.owner.binding.interfaces,
  ...unpinnable,
  ...frames(priv),
  attach(at) {
    needPeer2peer(at);
    priv.checkShared(at, "attach");
    needRouteByPfn(at, priv);
  },
});

/** `vfioExporter(options)(framework, host)`. Nothing was posted: `asPosted` changes nothing. */
export const vfioExporter: VfioFactory = variant({ conforming });

export const dmaBufPlugin: VfioPlugin = plugin(vfioExporter, "pfn-locked", "get_pfn", "revoke");
