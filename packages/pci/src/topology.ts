/** A tree of functions below host bridges, with the two numberings: the CPU's and the bus's. */
import { addr, type BusAddr, type PhysAddr } from "@dma-buf/core";
import { type PciFunction, partsOf } from "./function.js";
import type { Capture } from "./lspci.js";

/** One PCI root. Compared by identity: it is the space in which its bus addresses mean something. */
export interface HostBridge {
  readonly name: string;
  readonly domain: number;
  readonly bus: number;
  /** `bus address = CPU physical address - busOffsetBytes` for everything below. */
  readonly busOffsetBytes: number;
  /** Is it on the kernel's list of bridges that forward peer requests? `unknown`: the capture has no device ids. */
  readonly allowlisted: boolean | "unknown";
}

export interface Cpu {
  readonly vendor: string;
  readonly family: number;
}

export interface TopologyInit {
  readonly functions: readonly PciFunction[];
  readonly hostBridges: readonly HostBridge[];
  /** `null`: not known. */
  readonly cpu: Cpu | null;
}

export class Topology {
  readonly functions: readonly PciFunction[];
  readonly hostBridges: readonly HostBridge[];
  readonly cpu: Cpu | null;
  readonly #byAddress: ReadonlyMap<string, PciFunction>;
  readonly #bridgeOfBus = new Map<string, PciFunction>();

  constructor({ functions, hostBridges, cpu }: TopologyInit) {
    this.functions = functions;
    this.hostBridges = hostBridges;
    this.cpu = cpu;
    this.#byAddress = new Map(functions.map((f) => [f.address, f]));
    for (const f of functions)
      if (f.bridge) this.#bridgeOfBus.set(`${partsOf(f.address).domain}:${f.bridge.secondary}`, f);
  }

  /** @throws RangeError naming the functions there are. */
  get(address: string): PciFunction {
    const fn = this.#byAddress.get(address);
    if (!fn) throw new RangeError(`no function ${address} here: there are ${[...this.#byAddress.keys()].join(", ")}`);
    return fn;
  }

  /** The bridge above `fn`; `null` on a root bus. */
  parentOf(fn: PciFunction): PciFunction | null {
    const { domain, bus } = partsOf(fn.address);
    return this.#bridgeOfBus.get(`${domain}:${bus}`) ?? null;
  }

  childrenOf(fn: PciFunction): PciFunction[] {
    const { domain } = partsOf(fn.address);
    return this.functions.filter(
      (f) => partsOf(f.address).domain === domain && partsOf(f.address).bus === fn.bridge?.secondary,
    );
  }

  /** `fn`, its bridge, that bridge's bridge, up to the root port. */
  pathToRoot(fn: PciFunction): PciFunction[] {
    const path = [fn];
    for (let up = this.parentOf(fn); up && !path.includes(up); up = this.parentOf(up)) path.push(up);
    return path;
  }

  /** The lowest function that is above both or is one of them; `null` where only a host bridge is. */
  commonAncestor(a: PciFunction, b: PciFunction): PciFunction | null {
    const above = new Set(this.pathToRoot(b));
    return this.pathToRoot(a).find((f) => above.has(f)) ?? null;
  }

  hostBridgeOf(fn: PciFunction): HostBridge {
    const root = partsOf((this.pathToRoot(fn).at(-1) as PciFunction).address);
    const bridge = this.hostBridges.find((h) => h.domain === root.domain && h.bus === root.bus);
    if (!bridge) throw new RangeError(`${fn.address} is below no host bridge`);
    return bridge;
  }

  /** What travels on the wires below `fn`'s host bridge for a CPU-physical address. */
  toBus(bridge: HostBridge, physical: PhysAddr): BusAddr {
    return (physical - bridge.busOffsetBytes) as BusAddr;
  }

  /** The CPU-physical address of a bus address below `bridge`. */
  toPhys(bridge: HostBridge, bus: BusAddr): PhysAddr {
    return addr<PhysAddr>(bus + bridge.busOffsetBytes);
  }
}

/** The kernel's list, by vendor and device of the first function on the root bus. Linux 7.3: drivers/pci/p2pdma.c. */
const ALLOWLIST: ReadonlySet<string> = new Set(
  ["3c00", "3c01", "2f00", "2f01", "2030", "2031", "2032", "2033", "2020", "09a2"].map((device) => `8086:${device}`),
);

/** A topology from a capture: one host bridge a root bus. What text cannot say is taken as 0 or `unknown`. */
export function topologyOf(
  capture: Capture,
  options: { readonly busOffsetBytes?: number; readonly cpu?: Cpu } = {},
): Topology {
  const below = new Set(
    capture.functions.flatMap((f) => (f.bridge ? [`${partsOf(f.address).domain}:${f.bridge.secondary}`] : [])),
  );
  const roots = new Map<string, HostBridge>();
  for (const fn of capture.functions) {
    const { domain, bus } = partsOf(fn.address);
    const key = `${domain}:${bus}`;
    if (below.has(key) || roots.has(key)) continue;
    const ids = `${fn.vendor?.toString(16)}:${fn.device?.toString(16).padStart(4, "0")}`;
    const allowlisted = fn.vendor === null ? "unknown" : ALLOWLIST.has(ids);
    roots.set(key, { name: fn.name, domain, bus, busOffsetBytes: options.busOffsetBytes ?? 0, allowlisted });
  }
  return new Topology({ functions: capture.functions, hostBridges: [...roots.values()], cpu: options.cpu ?? null });
}
