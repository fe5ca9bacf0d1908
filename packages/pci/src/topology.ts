/** A tree of functions below host bridges, with the two numberings: the CPU's and the bus's. */
import { addr, type BusAddr, type PhysAddr } from "@dma-buf/core";
import type { Capture, HostFacts } from "./capture/capture.js";
import { Buses, busKey, busName } from "./buses.js";
import { check } from "./capture/check.js";
import { type AcsBits, isRootBus, type Maybe, type PciFunction, partsOf } from "./function.js";
import { type CpuClue, cpuOf, type HostBridge, listingOf } from "./host-bridge.js";
import { type KernelVersion, kernelVersion, LATEST_KERNEL } from "./kernel-version.js";

export interface TopologyInit {
  readonly functions: readonly PciFunction[];
  readonly hostBridges: readonly HostBridge[];
  /** @defaultValue nothing is known of it */
  readonly cpu?: CpuClue;
  /** Whose rules hold. @defaultValue 7.3 */
  readonly kernel?: KernelVersion;
  /** Does an IOMMU translate? @defaultValue "unknown" */
  readonly iommu?: Maybe<"on" | "off">;
  /** Default domains by IOMMU group, as sysfs names them. @defaultValue none is known */
  readonly domainTypes?: ReadonlyMap<number, string>;
}

/** Immutable: what changes at run time makes another one, {@link Topology.withAcs}. */
export class Topology {
  readonly functions: readonly PciFunction[];
  readonly hostBridges: readonly HostBridge[];
  readonly cpu: CpuClue;
  readonly kernel: KernelVersion;
  readonly iommu: Maybe<"on" | "off">;
  readonly domainTypes: ReadonlyMap<number, string>;
  readonly #byAddress: ReadonlyMap<string, PciFunction>;
  readonly #bridgeOfBus = new Map<string, PciFunction>();
  readonly #onBus = new Map<string, PciFunction[]>();
  readonly #paths = new Map<PciFunction, readonly PciFunction[]>();
  readonly #bridgeOfRoot = new Map<string, HostBridge>();
  readonly #buses: Buses;

  /** @throws CaptureError for BARs that overlap, addresses that no Number holds, and bridges that form no tree */
  constructor({ functions, hostBridges, cpu, kernel, iommu, domainTypes }: TopologyInit) {
    check(functions, "this topology");
    this.functions = functions;
    this.hostBridges = hostBridges;
    this.cpu = cpu ?? { vendor: "unknown", family: "unknown" };
    this.kernel = kernel ?? LATEST_KERNEL;
    this.iommu = iommu ?? "unknown";
    this.domainTypes = domainTypes ?? new Map();
    this.#byAddress = new Map(functions.map((f) => [f.address, f]));
    this.#buses = new Buses(functions);
    for (const f of functions) {
      // Secondary 0 is a bridge that nobody configured: it leads nowhere.
      if (f.bridge && f.bridge.secondary !== 0) this.#bridgeOfBus.set(busKey(f.address, f.bridge.secondary), f);
      const bus = this.#buses.busOf(f.address);
      const there = this.#onBus.get(bus);
      if (there) there.push(f);
      else this.#onBus.set(bus, [f]);
    }
    for (const h of hostBridges) this.#bridgeOfRoot.set(busName(h.domain, h.bus), h);
  }

  /** @throws RangeError naming the functions there are. */
  get(address: string): PciFunction {
    const fn = this.#byAddress.get(address);
    if (!fn) throw new RangeError(`no function ${address} here: there are ${[...this.#byAddress.keys()].join(", ")}`);
    return fn;
  }

  has(address: string): boolean {
    return this.#byAddress.has(address);
  }

  /** The bridge above `fn`; `null` on a root bus. */
  parentOf(fn: PciFunction): PciFunction | null {
    return this.#bridgeOfBus.get(this.#buses.busOf(fn.address)) ?? null;
  }

  childrenOf(fn: PciFunction): readonly PciFunction[] {
    if (!fn.bridge || fn.bridge.secondary === 0) return [];
    return this.#onBus.get(busKey(fn.address, fn.bridge.secondary)) ?? [];
  }

  /** `fn`, its bridge, that bridge's bridge, up to the root port. */
  pathToRoot(fn: PciFunction): readonly PciFunction[] {
    const known = this.#paths.get(fn);
    if (known) return known;
    const path = [fn];
    for (let up = this.parentOf(fn); up; up = this.parentOf(up)) path.push(up);
    this.#paths.set(fn, path);
    return path;
  }

  /** The lowest function that is above both or is one of them; `null` where only a host bridge is. */
  commonAncestor(a: PciFunction, b: PciFunction): PciFunction | null {
    const above = this.pathToRoot(b);
    return this.pathToRoot(a).find((f) => above.includes(f)) ?? null;
  }

  /** All functions of `fn`'s device: with VFs' ARI numbers aside, those that share its bus and device number. */
  slotOf(fn: PciFunction): readonly PciFunction[] {
    const slot = slotOf(fn);
    return (this.#onBus.get(this.#buses.busOf(fn.address)) ?? []).filter((f) => slotOf(f) === slot);
  }

  hostBridgeOf(fn: PciFunction): HostBridge {
    const bridge = this.#bridgeOfRoot.get(this.#buses.busOf((this.pathToRoot(fn).at(-1) as PciFunction).address));
    if (!bridge) throw new RangeError(`${fn.address} is below no host bridge`);
    return bridge;
  }

  /** Does the IOMMU translate what `fn` sends by the DMA API? Not where there is none, or its default domain is identity. */
  translates(fn: PciFunction): Maybe<boolean> {
    if (this.iommu !== "on") return this.iommu === "off" ? false : "unknown";
    const type = this.domainTypes.get(fn.iommuGroup ?? -1);
    return type === undefined ? "unknown" : type !== "identity";
  }

  /** The functions on the root bus of `bridge`. */
  rootsBelow(bridge: HostBridge): readonly PciFunction[] {
    return this.#onBus.get(busName(bridge.domain, bridge.bus)) ?? [];
  }

  /** What travels on the wires below `fn`'s host bridge for a CPU-physical address. */
  toBus(bridge: HostBridge, physical: PhysAddr): BusAddr {
    return (physical - bridge.busOffsetBytes) as BusAddr;
  }

  /** The CPU-physical address of a bus address below `bridge`. */
  toPhys(bridge: HostBridge, bus: BusAddr): PhysAddr {
    return addr<PhysAddr>(bus + bridge.busOffsetBytes);
  }

  /**
   * The same host after somebody wrote a port's ACS control register: `setpci`, or a quirk.
   * @throws RangeError for a function that has no ACS capability, or a bit that its capability has not
   */
  withAcs(address: string, control: Partial<AcsBits>): Topology {
    const fn = this.get(address);
    const { acs } = fn;
    if (acs === null || acs === "unknown") throw new RangeError(`${address} has no ACS capability that could be set`);
    const missing = (Object.keys(control) as (keyof AcsBits)[]).find((bit) => control[bit] && !acs.capability[bit]);
    if (missing) throw new RangeError(`${address} cannot set ${missing}: its ACS capability has no such bit`);
    const changed = { ...fn, acs: { ...acs, control: { ...acs.control, ...control } } };
    const { hostBridges, cpu, kernel, iommu, domainTypes } = this;
    const functions = this.functions.map((f) => (f === fn ? changed : f));
    return new Topology({ functions, hostBridges, cpu, kernel, iommu, domainTypes });
  }
}

function slotOf({ address }: PciFunction): string {
  return address.slice(0, address.lastIndexOf("."));
}

export interface TopologyOptions {
  /** In place of what the capture says or, where it says nothing, of 0; for every root. Bytes. */
  readonly busOffsetBytes?: number;
  /** Under this kernel's rules, in place of the captured one's. */
  readonly kernel?: KernelVersion;
}

/** A topology from a capture: one host bridge a root bus. A bus offset that the capture does not show is taken as 0. */
export function topologyOf(capture: Capture, options: TopologyOptions = {}): Topology {
  const { functions, host } = capture;
  const kernel = options.kernel ?? kernelVersion(host.kernelRelease ?? "") ?? LATEST_KERNEL;
  return new Topology({
    functions,
    hostBridges: rootsOf(functions).map((there) => hostBridgeFrom(there, host, kernel, options.busOffsetBytes)),
    cpu: cpuOf(host.cpu, functions),
    kernel,
    iommu: host.iommu,
    domainTypes: host.domainTypes,
  });
}

/** The functions on each bus that no bridge leads to. */
function rootsOf(functions: readonly PciFunction[]): PciFunction[][] {
  const below = new Set(functions.flatMap((f) => (f.bridge?.secondary ? [busKey(f.address, f.bridge.secondary)] : [])));
  const buses = new Buses(functions);
  const roots = new Map<string, PciFunction[]>();
  for (const fn of functions) {
    const bus = buses.busOf(fn.address);
    const there = roots.get(bus);
    if (there) there.push(fn);
    else if (!below.has(bus)) roots.set(bus, [fn]);
  }
  return [...roots.values()];
}

function hostBridgeFrom(
  there: readonly PciFunction[],
  host: HostFacts,
  kernel: KernelVersion,
  offset?: number,
): HostBridge {
  const [first] = there as [PciFunction];
  const { domain, bus } = partsOf(first.address);
  const root = first.address.slice(0, first.address.lastIndexOf(":"));
  const isLost = !isRootBus(there);
  return {
    name: isLost ? `what is above bus ${root}` : `the host bridge of ${root}`,
    domain,
    bus,
    busOffsetBytes: offset ?? host.busOffsets.get(root) ?? 0,
    isOffsetKnown: offset !== undefined || host.busOffsets.has(root),
    listing: isLost ? "unknown" : listingOf(first, kernel),
    isLost,
  };
}
