/** The exporter maps for the attached device: it asks for the route and puts the right number on the right bus. */
import type { Device } from "@dma-buf/core";
import { p2pDistance } from "@dma-buf/scatterlist";
import { needRoomForAll } from "./posted-table.js";
import { refuse } from "./refuse.js";
import { mapping, needPeer2peer, needRoute, unpinnable } from "./serve.js";
import { type Operations, plugin, variant, type VfioFactory, type VfioPlugin } from "./variant.js";

const conforming: Operations = (priv) => ({
  ...unpinnable,
  ...mapping(priv),
  attach(at) {
    // A static importer is refused by the pin that the core asks for.
    if (!at.importer) return;
    needPeer2peer(at);
    priv.checkNotRevoked("attach");
    priv.checkShared(at, "attach");
    needRoute(at, priv);
  },
});

/** As posted from 2022 to 2025: `dma_map_resource()` for everybody, whatever the bus, and a revoke that waits for nothing. */
const asPosted: Operations = (priv) => {
  const { mapDmaBuf, unmapDmaBuf } = mapping(priv, { options: () => ({ provider: null }) });
  return {
    ...unpinnable,
    unmapDmaBuf,
    attach(at) {
      const device = at.device as Device;
      const { distance } = p2pDistance(priv.provider, device);
      if (distance < 0) at.peer2peer = false;
    },
    mapDmaBuf(at, direction, held) {
      priv.checkNotRevoked("map");
      if (!at.peer2peer) refuse("EPERM", "map", `there is no peer-to-peer between ${at.importerName} and the BAR`);
      needRoomForAll(priv);
      return mapDmaBuf(at, direction, held);
    },
  };
};

/** `vfioExporter(options)(framework, host)`. */
export const vfioExporter: VfioFactory = variant({ conforming, asPosted, early: true });

export const dmaBufPlugin: VfioPlugin = plugin(vfioExporter, "dma-address", "map", "revoke");
