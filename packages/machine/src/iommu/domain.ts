/** What a device entry may say: a paging domain, pass-through, or nothing at all. */
import type { Space } from "@dma-buf/core";
import type { Format, WalkRoot } from "@dma-buf/page-table";
import type { PciFunction, Topology } from "@dma-buf/pci";

/** An IOMMU domain that translates: a table somewhere in memory, and the tag under which its leaves are cached. */
export interface IommuDomain {
  readonly kind: "paging";
  /** What the IOTLB tags its entries with; unique within one unit. */
  readonly id: number;
  readonly name: string;
  readonly format: Format;
  /** Asked anew for each walk: a table that grows has another root then. Whoever filled it owns it. */
  readonly root: WalkRoot;
}

/** `identity`: addresses pass through. `blocked`: there is no entry, and every request faults. */
export type Attached = IommuDomain | "identity" | "blocked";

/** In words. */
export function nameOf(attached: Attached): string {
  if (attached === "identity") return "pass-through";
  return attached === "blocked" ? "none: blocked" : attached.name;
}

/** The spaces in which a number that `fn` sends means something. */
export function spacesOf(topology: Topology, fn: PciFunction, attached: Attached): readonly Space[] {
  const bus: Space = { kind: "pci-bus", bridge: topology.hostBridgeOf(fn) };
  return typeof attached === "string" ? [bus] : [bus, { kind: "iova", domain: attached }];
}
