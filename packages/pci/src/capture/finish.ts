/** What all readers do at the end: tie the functions together, check them, and name what no such capture says. */
import { isRootBus, partsOf, type PciFunction } from "../function.js";
import type { Capture, HostFacts } from "./capture.js";
import { check } from "./check.js";
import type { VirtualFunctions } from "./config-space.js";
import { busKey, Buses } from "../buses.js";
import { type Draft, settle } from "./draft.js";
import type { Notes } from "./notes.js";

export interface Reading {
  readonly format: Capture["format"];
  readonly drafts: readonly Draft[];
  /** VFs by the PF that counts them. */
  readonly vfs: ReadonlyMap<string, VirtualFunctions>;
  /** Root buses that are known to be such: `0000:40`. */
  readonly roots?: ReadonlySet<string>;
  /** What is known of the host once the functions are settled. */
  readonly host: (functions: readonly PciFunction[]) => HostFacts;
}

/** @throws CaptureError for functions that cannot be of one host. */
export function finish({ format, drafts, vfs, roots = new Set(), host }: Reading, notes: Notes): Capture {
  const functions = withPhysfns(withSlots(settle(drafts)), vfs);
  check(functions, notes.source);
  const facts = host(functions);
  noteBars(functions, notes);
  const buses = new Buses(functions);
  noteBridges(functions, buses, roots, notes);
  noteHost(functions, buses, facts, notes);
  return { source: notes.source, format, functions, host: facts, unknown: notes.unknown, skipped: notes.skipped };
}

export const NO_FACTS: HostFacts = {
  cpu: null,
  kernelRelease: null,
  commandLine: null,
  iommu: "unknown",
  domainTypes: new Map(),
  busOffsets: new Map(),
};

/**
 * The kernel counts every function above 0 as one of several, whatever its header says. For function 0 the header counts,
 * and where a text does not print it, its siblings tell.
 */
function withSlots(functions: readonly PciFunction[]): PciFunction[] {
  const slot = (fn: PciFunction): string => fn.address.slice(0, fn.address.indexOf("."));
  const isHigher = (fn: PciFunction): boolean => partsOf(fn.address).fn > 0;
  const shared = new Set(functions.filter(isHigher).map(slot));
  return functions.map((fn) => {
    const isOneOfSeveral = isHigher(fn) || (fn.multiFunction === "unknown" && shared.has(slot(fn)));
    return isOneOfSeveral ? { ...fn, multiFunction: true } : fn;
  });
}

function withPhysfns(functions: readonly PciFunction[], vfs: ReadonlyMap<string, VirtualFunctions>): PciFunction[] {
  const physfnOf = new Map<string, string>();
  for (const [pf, { count, offset, stride }] of vfs)
    for (let n = 0; n < count; n++) physfnOf.set(routed(pf, offset + n * stride), pf);
  // A VF's header never has the bit: its PF's slot has several functions, and it is none of them.
  return functions.map((fn) => {
    const physfn = fn.physfn ?? physfnOf.get(fn.address) ?? null;
    return physfn === null || physfn === fn.address ? fn : { ...fn, physfn, multiFunction: false };
  });
}

/** The function whose Routing ID is `distance` above that of `address`. */
function routed(address: string, distance: number): string {
  const { bus, device, fn } = partsOf(address);
  const id = bus * 256 + device * 8 + fn + distance;
  const slot = Math.floor((id % 256) / 8);
  return `${busKey(address, Math.floor(id / 256))}:${slot.toString(16).padStart(2, "0")}.${id % 8}`;
}

function noteBars(functions: readonly PciFunction[], notes: Notes): void {
  for (const { address, unsizedBars } of functions) {
    const own = unsizedBars.filter((bar) => bar.index <= 5).map((bar) => bar.index);
    if (own.length > 0)
      notes.lacks(
        `the size of BAR ${own.join(", ")} of ${address}`,
        "the capture has no size of it",
        "`dma-buf capture`, or sudo lspci -vvv",
      );
  }
}

/** A bus that is no root's and that no bridge leads to was lost with its bridge. */
function noteBridges(functions: readonly PciFunction[], buses: Buses, roots: ReadonlySet<string>, notes: Notes): void {
  for (const [bus, there] of byBus(functions, buses)) {
    const leads = buses.rootOf((there[0] as PciFunction).address) !== bus;
    if (leads || roots.has(bus) || isRootBus(there) || there.every((fn) => fn.physfn !== null)) continue;
    notes.lacks(
      `the bridge above bus ${bus}`,
      "no bridge in the capture leads there",
      "the whole output of sudo lspci -vvv",
    );
  }
}

function byBus(functions: readonly PciFunction[], buses: Buses): Map<string, PciFunction[]> {
  const found = new Map<string, PciFunction[]>();
  for (const fn of functions) {
    const bus = buses.busOf(fn.address);
    const there = found.get(bus);
    if (there) there.push(fn);
    else found.set(bus, [fn]);
  }
  return found;
}

function noteHost(functions: readonly PciFunction[], buses: Buses, host: HostFacts, notes: Notes): void {
  const tool = "`dma-buf capture` on the host";
  notes.lacks(
    "whether the root complex forwards peer requests",
    "no register and no file says so",
    "try it on the host: no capture can",
  );
  if (host.iommu === "unknown") notes.lacks("whether an IOMMU translates", "no IOMMU group is named", tool);
  if (host.iommu !== "off" && host.domainTypes.size === 0)
    notes.lacks("the default domains of the IOMMU groups", "the capture has no /sys/kernel/iommu_groups/*/type", tool);
  for (const root of new Set(functions.map((fn) => buses.rootOf(fn.address))))
    if (!host.busOffsets.has(root))
      notes.lacks(
        `the bus offset of root ${root}`,
        "no BAR below it is seen both from the CPU and in a register",
        tool,
      );
  if (!host.cpu) notes.lacks("the CPU's vendor and family", "the capture has no /proc/cpuinfo", tool);
  if (!host.kernelRelease) notes.lacks("the kernel's release", "the capture has no /proc/sys/kernel/osrelease", tool);
}
