/** The exporter maps for the attached device: it asks for the route and puts the right number on the right bus. */
import {
  addr,
  type Device,
  type DmaAddr,
  type Framework,
  type PluginModule,
  type Run,
  type SgTable,
} from "@dma-buf/core";
import {
  type Backing,
  needPeer2peer,
  refuse,
  unpinnable,
  type Variant,
  vfioEngine,
  type VfioExporter,
} from "./engine.js";
import type { VfioHost } from "./host.js";

export interface VfioDmaAddressOptions {
  /** The exporter as posted until 2025: `dma_map_resource()` for everybody, no bus offset, pins refused. */
  readonly asPosted?: boolean;
}

const conforming: Variant = (backing) => ({
  ...unpinnable,
  attach(at) {
    needPeer2peer(at, backing);
    const verdict = backing.provider?.verdict(at.device as Device);
    if (verdict?.mapType !== "bus-address" && verdict?.mapType !== "through-host-bridge")
      refuse(
        "EOPNOTSUPP",
        "attach",
        `${at.importerName} cannot reach ${backing.host.name}: ${verdict?.reason ?? "no peer-to-peer memory"}`,
      );
  },
  mapDmaBuf(at, direction) {
    backing.checkNotRevoked("map");
    const device = at.device as Device;
    const direct = backing.provider?.verdict(device).mapType === "bus-address";
    const offset = backing.provider?.busOffsetBytes ?? 0;
    return table(backing, (v) =>
      direct
        ? addr<DmaAddr>(v.physical - offset)
        : device.dma.mapPhys(v.physical, v.sizeBytes, direction, { mmio: true }),
    );
  },
  unmapDmaBuf(at, sgt) {
    const device = at.device as Device;
    if (backing.provider?.verdict(device).mapType !== "bus-address") unmapAll(device, sgt);
  },
});

const asPosted: Variant = (backing) => ({
  attach(at) {
    const verdict = backing.provider?.verdict(at.device as Device);
    if ((verdict?.distance ?? -1) < 0) at.peer2peer = false;
  },
  ...unpinnable,
  mapDmaBuf(at, direction) {
    backing.checkNotRevoked("map");
    if (!at.peer2peer) refuse("EPERM", "map", "no peer-to-peer between exporter and importer");
    const { dma } = at.device as Device;
    return table(backing, (v) => dma.mapPhys(v.physical, v.sizeBytes, direction, { mmio: true }));
  },
  unmapDmaBuf: (at, sgt) => unmapAll(at.device as Device, sgt),
});

function table(backing: Backing, map: (v: Backing["ranges"][number]) => DmaAddr): SgTable {
  let offset = 0;
  const runs = backing.ranges.map((v): Run => {
    const run: Run = { kind: "dma", offset, sizeBytes: v.sizeBytes, address: map(v) };
    offset += v.sizeBytes;
    return run;
  });
  return { runs };
}

function unmapAll(device: Device, sgt: SgTable): void {
  for (const run of sgt.runs) if (run.kind === "dma") device.dma.unmapPhys(run.address, run.sizeBytes);
}

/** `vfioExporter(options)(framework, host)`. */
export const vfioExporter =
  (options: VfioDmaAddressOptions = {}) =>
  (framework: Framework, host: VfioHost): VfioExporter =>
    vfioEngine(framework, host, options.asPosted ? asPosted : conforming);

export const dmaBufPlugin: PluginModule<VfioDmaAddressOptions, VfioHost, VfioExporter> = {
  schemaVersion: 1,
  kind: "exporter",
  name: "vfio-pci",
  contracts: ["dma-address"],
  capabilities: ["map", "revoke"],
  create: vfioExporter,
};
