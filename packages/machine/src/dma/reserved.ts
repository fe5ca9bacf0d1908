/** IOVAs that no mapping may have: the interrupt window, what the fabric claims, and what firmware maps one to one. */
import type { PhysAddr } from "@dma-buf/core";
import type { PciFunction, Topology } from "@dma-buf/pci";
import { INTERRUPTS, type IommuKind } from "../iommu/kind.js";

/** `msi`: DMA writes are interrupts. `window`: a bridge would claim it before the IOMMU sees it. `direct`: RMRR, IVMD. */
export interface ReservedRegion {
  readonly kind: "msi" | "window" | "direct" | "hyper-transport";
  readonly base: number;
  readonly sizeBytes: number;
}

/** Memory that firmware says a device uses: mapped one to one in its default domain. VT-d's RMRR, AMD's unity map. */
export interface DirectRegion {
  /** The function: `0000:03:00.0`. */
  readonly device: string;
  readonly base: PhysAddr;
  readonly sizeBytes: number;
}

/** AMD's, unless the unit says that it ignores the HyperTransport range. */
const HYPER_TRANSPORT: ReservedRegion = {
  kind: "hyper-transport",
  base: 0xfd_0000_0000,
  sizeBytes: 0x3_0000_0000,
};

/** Of `fn` behind a unit of `kind`, in any order; they may overlap. */
export function reservedRegions(
  topology: Topology,
  fn: PciFunction,
  kind: IommuKind,
  direct: readonly DirectRegion[],
): readonly ReservedRegion[] {
  const { base, end } = INTERRUPTS[kind];
  return [
    { kind: "msi", base, sizeBytes: end - base },
    ...(kind === "amd-vi" ? [HYPER_TRANSPORT] : []),
    ...windowsOf(topology, fn),
    ...direct.filter((d) => d.device === fn.address).map((d) => ({ ...d, kind: "direct" as const })),
  ];
}

/** By the numbers of the bus: an IOVA on the wire is compared with those. */
function windowsOf(topology: Topology, fn: PciFunction): ReservedRegion[] {
  const bridge = topology.hostBridgeOf(fn);
  const roots = topology.rootsBelow(bridge);
  const claimed = [
    ...roots.flatMap((f) => f.bridge?.windows.filter((w) => w.kind !== "io") ?? []),
    ...roots.flatMap((f) => f.bars.filter((b) => b.space === "memory")),
  ];
  return claimed.map(({ base, sizeBytes }) => ({ kind: "window", base: topology.toBus(bridge, base), sizeBytes }));
}
