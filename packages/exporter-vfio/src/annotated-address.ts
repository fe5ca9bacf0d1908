/** The exporter maps, and says of each address in which space it is valid: a bus, a domain, or, without a device, the CPU's. */
import { mapping, needPeer2peer, needRevocable, needRoute, unpinnable } from "./serve.js";
import { type Operations, plugin, variant, type VfioFactory, type VfioPlugin } from "./variant.js";

const conforming: Operations = (priv) => ({
  ...unpinnable,
  ...mapping(priv, { attributes: () => priv.attributes }),
  attach(at) {
    needPeer2peer(at);
    needRevocable(at, priv);
    // Whose it is, the address says, and who does not know the tag refuses it.
    if (!priv.owner.tagsOwner) priv.checkShared(at, "attach");
    if (at.device) needRoute(at, priv);
  },
});

/** `vfioExporter(options)(framework, host)`. Nothing was posted: `asPosted` changes nothing. */
export const vfioExporter: VfioFactory = variant({ conforming });

export const dmaBufPlugin: VfioPlugin = plugin(vfioExporter, "annotated-address", "map", "revoke");
