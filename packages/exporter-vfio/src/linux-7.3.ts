/** Linux 7.3 as merged: who attaches must be revocable, and a revoke waits until everybody unmapped. */
import type { DmaBufAttachment } from "@dma-buf/core";
import type { VfioDmaBuf } from "./buffer.js";
import { iommufdInterface } from "./iommufd.js";
import { mapping, needPeer2peer, needRevocable, needRoute } from "./serve.js";
import { upstreamBugs } from "./upstream-bugs.js";
import { type Operations, plugin, variant, type VfioFactory, type VfioPlugin } from "./variant.js";

/** It has no pin: to the core it does not move, and pinning it succeeds without a promise. */
const conforming: Operations = (priv) => ({
  interfaces: iommufdInterface,
  ...mapping(priv),
  attach(at) {
    needRevocablePeer(at, priv);
    priv.checkShared(at, "attach");
    needRoute(at, priv);
  },
});

/** Linux 7.3.4: the route is not asked for before the map, and the bugs of its helper are there. */
const asPosted: Operations = (priv) => ({
  interfaces: iommufdInterface,
  ...mapping(priv, upstreamBugs(priv)),
  attach: (at) => needRevocablePeer(at, priv),
});

function needRevocablePeer(at: DmaBufAttachment, priv: VfioDmaBuf): void {
  needPeer2peer(at);
  priv.checkNotRevoked("attach");
  needRevocable(at, priv);
}

/** `vfioExporter(options)(framework, host)`. */
export const vfioExporter: VfioFactory = variant({ conforming, asPosted });

export const dmaBufPlugin: VfioPlugin = plugin(vfioExporter, "linux-7.3", "map", "revoke");
