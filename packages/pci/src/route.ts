/** How one memory request travels, hop by hop, by the addresses on the wire and the ACS bits of the ports. */
import { addr, type BusAddr, hex, type PhysAddr } from "@dma-buf/core";
import type { Bar, PciFunction } from "./function.js";
import type { HostBridge, Topology } from "./topology.js";

export interface Hop {
  /** The function that decides. */
  readonly at: string;
  readonly action: string;
}

export type RouteEnd =
  | { readonly kind: "function"; readonly fn: PciFunction; readonly bar: Bar; readonly offset: number }
  /** It left the tree upwards, untranslated: IOMMU and root complex decide. */
  | { readonly kind: "root-complex"; readonly port: PciFunction }
  | { readonly kind: "unsupported-request"; readonly at: string; readonly reason: string };

export interface Route {
  readonly hops: readonly Hop[];
  readonly end: RouteEnd;
}

/** Follows a request of `requester` to `busAddress` until a function claims it, a port refuses, or it goes up. */
export function route(topology: Topology, requester: PciFunction, busAddress: BusAddr): Route {
  const hops: Hop[] = [];
  if (!requester.busMaster) return { hops, end: refused(requester, "bus mastering is off") };
  const physical = topology.toPhys(topology.hostBridgeOf(requester), busAddress);
  const path = topology.pathToRoot(requester);
  for (const port of path.slice(1)) {
    const below = port.portType === "root-port" || port.portType === "downstream-port";
    const step = below ? receivesFromBelow(topology, port, physical) : null;
    if (step === "refuse")
      return { hops, end: refused(port, `${hex(busAddress)} is in its own window, and UpstreamFwd is off`) };
    if (step) {
      hops.push({ at: port.address, action: `sends ${hex(busAddress)} sideways to ${step.address}` });
      return down(topology, step, physical, hops);
    }
    hops.push({ at: port.address, action: `sends ${hex(busAddress)} upstream` });
  }
  return { hops, end: { kind: "root-complex", port: path.at(-1) as PciFunction } };
}

/** Follows a CPU-physical address down from the root complex below `bridge`. */
export function routeFromRoot(topology: Topology, bridge: HostBridge, physical: PhysAddr): Route {
  const hops: Hop[] = [];
  const roots = topology.functions.filter((f) => topology.parentOf(f) === null && topology.hostBridgeOf(f) === bridge);
  for (const fn of roots) {
    const claimed = claim(fn, physical);
    if (claimed) return { hops: [{ at: fn.address, action: `claims ${hex(physical)}` }], end: claimed };
    if (inWindow(fn, physical)) return down(topology, fn, physical, hops);
  }
  return { hops, end: { kind: "unsupported-request", at: bridge.name, reason: `nobody claims ${hex(physical)}` } };
}

/** A sibling to go to, `refuse`, or `null` for upstream. */
function receivesFromBelow(topology: Topology, port: PciFunction, physical: PhysAddr): PciFunction | "refuse" | null {
  const control = port.acs !== null && port.acs !== "unknown" ? port.acs.control : null;
  if (inWindow(port, physical)) return control?.UpstreamFwd ? null : "refuse";
  if (port.portType !== "downstream-port" || control?.ReqRedir) return null;
  const above = topology.parentOf(port);
  return (
    (above ? topology.childrenOf(above) : []).find((sibling) => sibling !== port && inWindow(sibling, physical)) ?? null
  );
}

function down(topology: Topology, port: PciFunction, physical: PhysAddr, hops: Hop[]): Route {
  for (const fn of topology.childrenOf(port)) {
    const claimed = claim(fn, physical);
    if (claimed) {
      hops.push({ at: fn.address, action: `claims ${hex(physical)}` });
      return { hops, end: claimed };
    }
    if (inWindow(fn, physical)) {
      hops.push({ at: fn.address, action: `passes ${hex(physical)} down` });
      return down(topology, fn, physical, hops);
    }
  }
  return { hops, end: refused(port, `nobody below claims ${hex(physical)}`) };
}

function claim(fn: PciFunction, physical: PhysAddr): RouteEnd | null {
  const bar = fn.bars.find((b) => b.space === "memory" && b.base <= physical && physical < b.base + b.sizeBytes);
  return bar ? { kind: "function", fn, bar, offset: addr<PhysAddr>(physical) - bar.base } : null;
}

function inWindow(fn: PciFunction, physical: PhysAddr): boolean {
  return (
    fn.bridge?.windows.some((w) => w.kind !== "io" && w.base <= physical && physical < w.base + w.sizeBytes) ?? false
  );
}

function refused(fn: PciFunction, reason: string): RouteEnd {
  return { kind: "unsupported-request", at: fn.address, reason };
}
