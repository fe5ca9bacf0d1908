/** The importer maps: the exporter says in which page frames the BAR lies, and to whom it will not say it. */
import {
  type Device,
  type Framework,
  PAGE_SIZE,
  type PfnAnswer,
  pfnOf,
  type PhysAddr,
  addr,
  type PluginModule,
} from "@dma-buf/core";
import {
  type Backing,
  needPeer2peer,
  pageAt,
  refuse,
  unpinnable,
  type Variant,
  vfioEngine,
  type VfioExporter,
} from "./engine.js";
import type { VfioHost } from "./host.js";

export interface VfioPfnOptions {
  /** The exporter of the RFC: no check of the route at attach, order 0 always. */
  readonly asPosted?: boolean;
}

const conforming: Variant = (backing) => ({
  ...unpinnable,
  attach(at) {
    needPeer2peer(at, backing);
    if (at.device) needRouteByPfn(backing, at.device);
  },
  getPfn: (_at, pgoff) => answer(backing, pgoff, maxOrder),
});

const asPosted: Variant = (backing) => ({
  ...unpinnable,
  getPfn: (_at, pgoff) => answer(backing, pgoff, () => 0),
});

/**
 * A PFN is put on the bus by `dma_map_phys()`, which knows the CPU's addresses and the device's IOMMU, and no PCI
 * peer. Where the bus would want another number, only a refusal keeps the write from landing elsewhere.
 */
function needRouteByPfn({ provider, host }: Backing, device: Device): void {
  const verdict = provider?.verdict(device);
  const no = (why: string): never =>
    refuse("EOPNOTSUPP", "attach", `${device.name} cannot reach ${host.name} by PFN: ${why}`);
  if (!verdict || verdict.mapType === "not-supported") no(verdict?.reason ?? "no peer-to-peer memory");
  else if (verdict.mapType === "bus-address") {
    if (provider?.busOffsetBytes !== 0)
      no("the bus counts addresses from another zero, and dma_map_phys() adds no bus offset");
    if (device.spaces.some((s) => s.kind === "iova")) no("it needs a bus address, and dma_map_phys() gives an IOVA");
  }
}

function answer(backing: Backing, pgoff: number, order: (at: number, from: number, to: number) => number): PfnAnswer {
  backing.checkNotRevoked("query");
  const { range, offset } = pageAt(backing, pgoff);
  const physical = addr<PhysAddr>(range.physical + offset);
  return { pfn: pfnOf(physical), maxOrder: order(physical, range.physical, range.physical + range.sizeBytes) };
}

/** The largest order whose naturally aligned run around `at` lies inside `[from, to)`. */
function maxOrder(at: number, from: number, to: number): number {
  let order = 0;
  for (let size = PAGE_SIZE * 2; size <= to - from; size *= 2) {
    const start = at - (at % size);
    if (start < from || start + size > to) break;
    order++;
  }
  return order;
}

/** `vfioExporter(options)(framework, host)`. */
export const vfioExporter =
  (options: VfioPfnOptions = {}) =>
  (framework: Framework, host: VfioHost): VfioExporter =>
    vfioEngine(framework, host, options.asPosted ? asPosted : conforming);

export const dmaBufPlugin: PluginModule<VfioPfnOptions, VfioHost, VfioExporter> = {
  schemaVersion: 1,
  kind: "exporter",
  name: "vfio-pci",
  contracts: ["pfn"],
  capabilities: ["get_pfn", "revoke"],
  create: vfioExporter,
};
