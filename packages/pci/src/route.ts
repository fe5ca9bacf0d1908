/** How one memory request travels, hop by hop, by the address on the wire and the ACS bits of the ports. */
import { addr, type BusAddr, hex, type PhysAddr } from "@dma-buf/core";
import type { AcsBits, Bar, PciFunction } from "./function.js";
import type { HostBridge } from "./host-bridge.js";
import type { Topology } from "./topology.js";

export interface Hop {
  /** The function that decides. */
  readonly at: string;
  readonly action: string;
}

export type RouteEnd =
  | { readonly kind: "function"; readonly fn: PciFunction; readonly bar: Bar; readonly offset: number }
  /** It left the tree upwards: IOMMU and root complex decide. */
  | { readonly kind: "root-complex"; readonly port: PciFunction }
  /** Nobody claims it: reads end with an unsupported request, posted writes vanish. */
  | { readonly kind: "unsupported-request"; readonly at: string; readonly reason: string }
  /** An ACS violation: reads end with a completer abort, posted writes vanish, the port logs it. */
  | { readonly kind: "completer-abort"; readonly at: string; readonly reason: string };

export interface Route {
  readonly hops: readonly Hop[];
  readonly end: RouteEnd;
}

export interface RouteOptions {
  /** The AT field says translated: the device got the address from the IOMMU by ATS. @defaultValue false */
  readonly translated?: boolean;
  /** Bus Master Enable of the requester now, in place of the captured one. */
  readonly busMaster?: boolean;
  /** What to call the address in hops, where its number means nothing: `the IOVA`. @defaultValue the number */
  readonly label?: string;
}

/**
 * Follows a request of `requester` to `busAddress` until a function claims it, a port refuses, or it goes up. Ports are
 * taken as the capture shows them: Bus Master Enable to forward up, Memory Space Enable to forward down. Egress control
 * vectors are in no capture: taken as empty.
 */
export function route(
  topology: Topology,
  requester: PciFunction,
  busAddress: BusAddr,
  { translated = false, busMaster = requester.busMaster, label = hex(busAddress) }: RouteOptions = {},
): Route {
  const hops: Hop[] = [];
  if (!busMaster) return { hops, end: refused(requester, "bus mastering is off") };
  const physical = topology.toPhys(topology.hostBridgeOf(requester), busAddress);
  const inside = sibling(topology, requester, physical);
  if (inside)
    return { hops: [{ at: requester.address, action: `reaches ${inside.fn.address} inside the device` }], end: inside };
  const shared = onSharedBus(topology, requester, physical);
  if (shared)
    return { hops: [{ at: shared.fn.address, action: `claims ${label} on the bus that both share` }], end: shared };
  const path = topology.pathToRoot(requester);
  for (const port of path.slice(1)) {
    const step = isPortBelow(port) ? fromBelow(topology, port, { physical, translated, label }) : upwards(port);
    if (step.go === "stop") return { hops, end: step.end };
    if (step.go === "sideways") {
      hops.push({ at: port.address, action: `sends ${label} sideways to ${step.to.address}${step.why}` });
      return down(topology, step.to, physical, label, hops);
    }
    hops.push({ at: port.address, action: `sends ${label} upstream${step.why}` });
  }
  return { hops, end: { kind: "root-complex", port: path.at(-1) as PciFunction } };
}

/** Follows a CPU-physical address down from the root complex below `bridge`. */
export function routeFromRoot(topology: Topology, bridge: HostBridge, physical: PhysAddr): Route {
  for (const fn of topology.rootsBelow(bridge)) {
    const claimed = claim(fn, physical);
    if (claimed) return { hops: [{ at: fn.address, action: `claims ${hex(physical)}` }], end: claimed };
    if (inWindow(fn, physical)) return down(topology, fn, physical, hex(physical), []);
  }
  return { hops: [], end: { kind: "unsupported-request", at: bridge.name, reason: `nobody claims ${hex(physical)}` } };
}

/** What travels, as a port that receives from below sees it. */
interface Request {
  readonly physical: PhysAddr;
  readonly translated: boolean;
  readonly label: string;
}

type Step =
  | { readonly go: "up"; readonly why: string }
  | { readonly go: "sideways"; readonly to: PciFunction; readonly why: string }
  | { readonly go: "stop"; readonly end: RouteEnd };

function isPortBelow(port: PciFunction): boolean {
  return port.portType === "root-port" || port.portType === "downstream-port";
}

function upwards(port: PciFunction, why = ""): Step {
  if (port.busMaster) return { go: "up", why };
  return { go: "stop", end: refused(port, "its Bus Master Enable is off: it forwards nothing upstream") };
}

/** A root port or a switch's downstream port: the one place where ACS acts on a request. */
function fromBelow(topology: Topology, port: PciFunction, { physical, translated, label }: Request): Step {
  const control = controlOf(port);
  if (translated && control?.TransBlk)
    return { go: "stop", end: blocked(port, `TransBlk stops ${label}, a translated request`) };
  if (inWindow(port, physical)) {
    if (control?.UpstreamFwd) return upwards(port, " (UpstreamFwd: it is in the port's own window)");
    return { go: "stop", end: refused(port, `${label} is in its own window, and UpstreamFwd is off`) };
  }
  const to = port.portType === "downstream-port" ? peerPort(topology, port, physical) : null;
  if (!to) return upwards(port);
  const direct = translated && control?.DirectTrans;
  if (control?.ReqRedir && !direct) return upwards(port, " (ReqRedir, though a sibling has it in its window)");
  return { go: "sideways", to, why: control?.ReqRedir ? " (DirectTrans, although ReqRedir is set)" : "" };
}

function peerPort(topology: Topology, port: PciFunction, physical: PhysAddr): PciFunction | null {
  const above = topology.parentOf(port);
  return (above ? topology.childrenOf(above) : []).find((s) => s !== port && inWindow(s, physical)) ?? null;
}

/** A multi-function device delivers to its own functions unless the requester's ACS sends peer requests out. */
function sibling(
  topology: Topology,
  requester: PciFunction,
  physical: PhysAddr,
): (RouteEnd & { kind: "function" }) | null {
  if (requester.portType !== "endpoint" || controlOf(requester)?.ReqRedir) return null;
  for (const fn of topology.slotOf(requester)) {
    const claimed = fn === requester ? null : claim(fn, physical);
    if (claimed) return claimed;
  }
  return null;
}

/** Below a conventional bridge everybody sees every request. */
function onSharedBus(
  topology: Topology,
  requester: PciFunction,
  physical: PhysAddr,
): (RouteEnd & { kind: "function" }) | null {
  const above = topology.parentOf(requester);
  if (above?.portType !== "pci-bridge") return null;
  for (const fn of topology.childrenOf(above)) {
    const claimed = fn === requester ? null : claim(fn, physical);
    if (claimed) return claimed;
  }
  return null;
}

function down(topology: Topology, port: PciFunction, physical: PhysAddr, label: string, hops: Hop[]): Route {
  if (!port.memoryEnabled)
    return { hops, end: refused(port, "its Memory Space Enable is off: it forwards nothing down") };
  for (const fn of topology.childrenOf(port)) {
    const claimed = claim(fn, physical);
    if (claimed) {
      hops.push({ at: fn.address, action: `claims ${hex(physical)}` });
      return { hops, end: claimed };
    }
    if (inWindow(fn, physical)) {
      hops.push({ at: fn.address, action: `passes ${label} down` });
      return down(topology, fn, physical, label, hops);
    }
  }
  return { hops, end: refused(port, `nobody below claims ${hex(physical)}`) };
}

/** By a BAR of its own: what a PF holds for its VFs, they claim themselves. */
function claim(fn: PciFunction, physical: PhysAddr): (RouteEnd & { kind: "function" }) | null {
  const bar = fn.bars.find(
    (b) => b.space === "memory" && b.index <= 5 && b.base <= physical && physical < b.base + b.sizeBytes,
  );
  return bar ? { kind: "function", fn, bar, offset: addr<PhysAddr>(physical) - bar.base } : null;
}

function inWindow(fn: PciFunction, physical: PhysAddr): boolean {
  return (
    fn.bridge?.windows.some((w) => w.kind !== "io" && w.base <= physical && physical < w.base + w.sizeBytes) ?? false
  );
}

function controlOf(port: PciFunction): AcsBits | null {
  return port.acs === null || port.acs === "unknown" ? null : port.acs.control;
}

function refused(fn: PciFunction, reason: string): RouteEnd {
  return { kind: "unsupported-request", at: fn.address, reason };
}

function blocked(fn: PciFunction, reason: string): RouteEnd {
  return { kind: "completer-abort", at: fn.address, reason };
}
