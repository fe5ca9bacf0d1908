/**
 * IOMMU groups by Linux's rule: functions that could reach each other before the IOMMU sees their requests share one.
 * Facts of Linux 7.3, drivers/iommu/iommu.c and drivers/pci/pci.c. Device quirks, which make some ports that have no
 * ACS count as isolated, are not modelled: a captured group stands above a computed one.
 */
import type { AcsBits, PciFunction } from "./function.js";
import type { Topology } from "./topology.js";

/** What the kernel asks of a function that is to be alone. */
const ISOLATING: readonly (keyof AcsBits)[] = ["SrcValid", "ReqRedir", "CmpltRedir", "UpstreamFwd"];

/**
 * Is the function isolated from its peers? Bits that its capability lacks count as wired on. Single functions have no
 * peers inside; conventional PCI shares one bus.
 */
export function isIsolated(fn: PciFunction): boolean {
  if (fn.portType === "pci-bridge" || fn.portType === "unknown") return false;
  const isPort = fn.portType === "root-port" || fn.portType === "downstream-port";
  if (!isPort && (fn.multiFunction !== true || fn.physfn !== null)) return true;
  const { acs } = fn;
  if (acs === null || acs === "unknown") return false;
  return ISOLATING.every((bit) => !acs.capability[bit] || acs.control[bit]);
}

/** Groups as the kernel would form them, each with its functions in the order of the topology. */
export function iommuGroups(topology: Topology): PciFunction[][] {
  const groups = new Map<PciFunction, PciFunction[]>();
  const union = new Union();
  for (const fn of topology.functions) for (const peer of sharesWith(topology, fn)) union.join(fn, peer);
  for (const fn of topology.functions) {
    const top = union.find(fn);
    const group = groups.get(top);
    if (group) group.push(fn);
    else groups.set(top, [fn]);
  }
  return [...groups.values()];
}

/** The functions that `fn` must share a group with for its own sake. */
function sharesWith(topology: Topology, fn: PciFunction): PciFunction[] {
  const parent = topology.parentOf(fn);
  const up = parent && !isPathIsolated(topology, parent) ? [parent] : [];
  if (fn.multiFunction !== true || isIsolated(fn)) return up;
  return [...up, ...topology.slotOf(fn).filter((peer) => !isIsolated(peer))];
}

/** Every port from `bridge` to the root. */
function isPathIsolated(topology: Topology, bridge: PciFunction): boolean {
  return topology.pathToRoot(bridge).every(isIsolated);
}

class Union {
  readonly #up = new Map<PciFunction, PciFunction>();

  find(fn: PciFunction): PciFunction {
    let top = fn;
    for (let up = this.#up.get(top); up; up = this.#up.get(top)) top = up;
    return top;
  }

  join(a: PciFunction, b: PciFunction): void {
    const [from, to] = [this.find(a), this.find(b)];
    if (from !== to) this.#up.set(from, to);
  }
}
