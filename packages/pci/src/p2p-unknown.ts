/** What the kernel's rule asks for and a capture may not hold: every way to take it, and how to come to know it. */
import type { Unknown } from "./capture/capture.js";
import type { PciFunction } from "./function.js";
import type { HostBridge } from "./host-bridge.js";
import type { Between } from "./p2p-between.js";
import type { Topology } from "./topology.js";

/** How what is not known is taken in one evaluation. */
export interface Assumption {
  readonly acsRedirects: boolean;
  readonly cpuForwards: boolean;
  readonly listed: boolean;
  /** Do both lie below a switch that the capture has lost? */
  readonly joined: boolean;
}

export const WORST: Assumption = { acsRedirects: true, cpuForwards: false, listed: false, joined: false };

/** Facts that the rule asks for and the capture does not have. */
export interface OpenFacts {
  readonly acs: readonly PciFunction[];
  readonly roots: readonly HostBridge[];
  readonly cpu: boolean;
  /** Buses whose bridges the capture has lost, where what they have in common decides. */
  readonly lost: readonly HostBridge[];
}

export function openFacts(topology: Topology, { counted, roots }: Between): OpenFacts {
  return {
    acs: counted.filter((fn) => fn.acs === "unknown" && mayHaveAcs(fn)),
    roots: roots.filter((root) => root.listing === "unknown" && !root.isLost),
    cpu: cpuIsUnknown(topology),
    lost: roots.filter((root) => root.isLost),
  };
}

/** Every way to take what is open; the worst first. What is known stays out of it. */
export function assumptions(open: OpenFacts): Assumption[] {
  const acs = open.acs.length > 0 ? [true, false] : [true];
  const cpu = open.cpu ? [false, true] : [false];
  const lists = open.roots.length + open.lost.length > 0 ? [false, true] : [false];
  const apart = acs.flatMap((acsRedirects) =>
    cpu.flatMap((isZen) => lists.map((listed) => ({ acsRedirects, cpuForwards: isZen, listed, joined: false }))),
  );
  return open.lost.length > 0 ? [...apart, { ...WORST, joined: true }] : apart;
}

export function describe({ acs, roots, cpu, lost }: OpenFacts): Unknown[] {
  const ports = acs.map((fn) => ({
    what: `ACS of ${fn.address}`,
    because: "the capture does not show its extended capabilities",
    capture: "sudo lspci -vvv, or dma-buf capture as root",
  }));
  const listings = roots.map((root) => ({
    what: `whether ${root.name} is on the kernel's list`,
    because: "the capture has no vendor and device ids, or its kernel is older than the list that is known",
    capture: "sudo lspci -vvvnn, or dma-buf capture",
  }));
  const bridges = lost.map((root) => ({
    what: root.name,
    because: "no bridge in the capture leads there",
    capture: "the whole output of sudo lspci -vvvnn, or dma-buf capture",
  }));
  const processor = {
    what: "the CPU's vendor and family",
    because: "lspci shows no CPU, and no function's name tells",
    capture: "dma-buf capture",
  };
  return [...ports, ...bridges, ...listings, ...(cpu ? [processor] : [])];
}

/** Conventional bridges never have ACS, whatever a capture could not see of them. */
export function mayHaveAcs(fn: PciFunction): boolean {
  return fn.portType !== "pci-bridge";
}

/** Could the CPU be one that forwards, for all that is known? */
export function cpuIsUnknown({ cpu }: Topology): boolean {
  return cpu.vendor === "unknown" || (cpu.vendor === "AuthenticAMD" && cpu.family === "unknown");
}
