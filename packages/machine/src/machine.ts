/**
 * The modelled machine: memory, a PCI topology, an IOMMU in front of it, devices that do DMA, guests with a second
 * stage. Real bytes travel; where they end up is what a verdict is derived from.
 */
import {
  addr,
  type BusAddr,
  type DmaAddr,
  type Op,
  PAGE_SIZE,
  type P2pProvider,
  type PhysAddr,
  point,
  type Trace,
  hex,
} from "@dma-buf/core";
import {
  createPageTable,
  createTableMemory,
  type Format,
  type PageTable,
  vtdSecondStage,
  type WalkRoot,
} from "@dma-buf/page-table";
import { type Bar, p2pVerdict, type PciFunction, route, routeFromRoot, type Topology } from "@dma-buf/pci";
import { MachineDevice } from "./device.js";
import { DirectDma, IommuDma } from "./dma-api.js";
import { TranslatedSpace } from "./domain.js";
import { IovaAllocator } from "./iova.js";
import { PhysicalMemory, type RamRange } from "./physical.js";

/** `off` and `identity` pass addresses through; `translated` gives each device a domain of its own. */
export type IommuMode = "off" | "identity" | "translated";

export interface MachineOptions {
  readonly topology: Topology;
  readonly trace: Trace;
  readonly iommu: IommuMode;
  /** Does the root complex forward peer requests between its ports? A fact of the hardware, not of Linux's policy. */
  readonly rootComplexForwards: boolean;
  /** @defaultValue 256 tables, 1 MiB */
  readonly tablesMax?: number;
  /** @defaultValue 64 */
  readonly dmaMaskBits?: number;
}

/** A request that reached memory, or was lost on its way: the evidence that verdicts are derived from. */
export interface Arrival {
  readonly step: number;
  readonly by: string;
  readonly access: "read" | "write";
  readonly physical: PhysAddr | null;
  readonly target: "ram" | "mmio" | "nothing";
  readonly sizeBytes: number;
}

/** Where a request ended. */
export type Delivery =
  | { readonly kind: "memory"; readonly physical: PhysAddr; readonly target: "ram" | "mmio" }
  | { readonly kind: "fault"; readonly by: string; readonly reason: string }
  | { readonly kind: "lost"; readonly reason: string };

const TABLES_BASE = 0x1000_0000;
const RAM: readonly RamRange[] = [{ base: addr<PhysAddr>(0), sizeBytes: 0x8000_0000 }];

export class Machine {
  readonly topology: Topology;
  readonly trace: Trace;
  readonly memory: PhysicalMemory;
  readonly iommu: IommuMode;
  /** Every access that any device or CPU issued, in order. */
  readonly arrivals: Arrival[] = [];
  /** Did an answer hang on {@link MachineOptions.rootComplexForwards}? */
  forwardsAsked = false;
  readonly #forwards: boolean;
  readonly #maskBits: number;
  readonly #spaces = new Map<string, TranslatedSpace | null>();
  readonly #devices = new Map<string, MachineDevice>();
  readonly #decodeOff = new Set<string>();
  readonly #dmas: { readonly live: number }[] = [];
  #tables: readonly PageTable[] = [];

  constructor(options: MachineOptions) {
    this.topology = options.topology;
    this.trace = options.trace;
    this.iommu = options.iommu;
    this.#forwards = options.rootComplexForwards;
    this.#maskBits = options.dmaMaskBits ?? 64;
    const tables = createTableMemory({
      basePhys: addr<PhysAddr>(TABLES_BASE),
      sizeBytes: (options.tablesMax ?? 256) * PAGE_SIZE,
    });
    this.memory = new PhysicalMemory(RAM, tables);
  }

  /** The function at `address` as a device that does DMA in its default domain. One object a function. */
  device(address: string): MachineDevice {
    const known = this.#devices.get(address);
    if (known) return known;
    const fn = this.topology.get(address);
    const { dma, space } = this.#defaultDomain(fn);
    this.#spaces.set(address, space);
    const bridge = this.topology.hostBridgeOf(fn);
    const device = new MachineDevice(
      this,
      fn,
      dma,
      space
        ? [
            { kind: "pci-bus", bridge },
            { kind: "iova", domain: space },
          ]
        : [{ kind: "pci-bus", bridge }],
    );
    this.#devices.set(address, device);
    return device;
  }

  /** Puts a device into another domain, or back into its default one (`null`: addresses pass through). */
  attachDomain(device: MachineDevice, space: TranslatedSpace | null): void {
    this.trace.emit("event", () => `${device.name}: IOMMU domain is now ${space?.name ?? "pass-through"}`);
    this.#spaces.set(device.fn.address, space);
  }

  domainOf(device: MachineDevice): TranslatedSpace | null {
    return this.#spaces.get(device.fn.address) ?? null;
  }

  /** A translated space over a table that somebody else fills: an IOAS, a guest's second stage. */
  space(name: string, format: Format, root: WalkRoot): TranslatedSpace {
    return new TranslatedSpace(name, format, root, this.memory, this.trace);
  }

  /** A page table in this machine's memory whose stores are in the trace. */
  pageTable(name: string, format: Format, leafSizesLog2?: readonly number[]): PageTable {
    const table = createPageTable(format, this.memory.tables, {
      ...(leafSizesLog2 ? { leafSizesLog2 } : {}),
      onStore: (at, entry) => this.trace.emit("store", () => `${name}: [${hex(at)}] = 0x${entry.toString(16)}`),
    });
    // Those that were destroyed hold nothing any more.
    this.#tables = [...this.#tables.filter((t) => t.tables > 0), table];
    return table;
  }

  /** The peer-to-peer side of a BAR, or `null` where it offers none. */
  provider(fn: PciFunction, bar: Bar): P2pProvider | null {
    if (bar.space !== "memory") return null;
    const offset = this.topology.hostBridgeOf(fn).busOffsetBytes;
    return {
      busOffsetBytes: offset,
      verdict: (client) => {
        const { mapType, distance, reason } = p2pVerdict(this.topology, fn, (client as MachineDevice).fn);
        return { mapType, distance, reason };
      },
    };
  }

  /** COMMAND.MEMORY of a function. Off: nobody claims its BARs. */
  setMemoryDecode(fn: PciFunction, on: boolean): void {
    this.trace.emit("event", () => `${fn.address}: memory decode ${on ? "on" : "off"}`);
    if (on) this.#decodeOff.delete(fn.address);
    else this.#decodeOff.add(fn.address);
  }

  memoryDecode(fn: PciFunction): boolean {
    return fn.memoryEnabled && !this.#decodeOff.has(fn.address);
  }

  /** Sends one request of `device` on its way. Sleeps at the IOMMU: a flush may come before or after the look-up. */
  *deliver(device: MachineDevice, address: DmaAddr | BusAddr, access: "read" | "write"): Op<Delivery> {
    const found = route(this.topology, device.fn, address as number as BusAddr);
    for (const hop of found.hops) this.trace.emit("route", () => `${hop.at}: ${hop.action}`);
    const { end } = found;
    if (end.kind === "function") return this.#claim(end.fn, end.bar, end.offset);
    if (end.kind === "unsupported-request")
      return { kind: "lost", reason: `unsupported request at ${end.at}: ${end.reason}` };
    yield* point("iommu.lookup");
    const space = this.domainOf(device);
    if (!space) return this.#decode(device.fn, this.#inbound(device.fn, address));
    const hit = space.translate(address, access);
    if (hit.kind === "fault")
      return { kind: "fault", by: `IOMMU, domain ${space.name}`, reason: `${hex(address)}: ${hit.reason}` };
    return this.#decode(device.fn, hit.physical);
  }

  /** A CPU's access by physical address. */
  cpuAccess(physical: PhysAddr): Delivery {
    return this.#decode(null, physical);
  }

  /** Mappings of the DMA API, and table pages, that are still out. Tables that a page table keeps empty are not. */
  get ledger(): { readonly dmaMappings: number; readonly tables: number } {
    const idle = this.#tables.reduce((n, t) => n + t.idleTables, 0);
    return { dmaMappings: this.#dmas.reduce((n, d) => n + d.live, 0), tables: this.memory.tables.liveTables - idle };
  }

  /** Books an access. */
  book(arrival: Omit<Arrival, "step">): void {
    this.arrivals.push({ ...arrival, step: this.trace.scheduler.steps });
  }

  #defaultDomain(fn: PciFunction): { dma: DirectDma | IommuDma; space: TranslatedSpace | null } {
    if (this.iommu !== "translated") {
      const dma = new DirectDma(fn.address, this.#maskBits);
      this.#dmas.push(dma);
      return { dma, space: null };
    }
    const name = `default domain of ${fn.address}`;
    const table = this.pageTable(name, vtdSecondStage);
    const space = this.space(name, vtdSecondStage, table);
    const dma = new IommuDma(table, space, new IovaAllocator());
    this.#dmas.push(dma);
    return { dma, space };
  }

  readonly #asked = (): boolean => {
    this.forwardsAsked = true;
    return this.#forwards;
  };

  /** Without translation, RAM is inbound where the CPU sees it; everything else is numbered as the bus numbers it. */
  #inbound(fn: PciFunction, address: number): PhysAddr {
    if (this.memory.isRam(address)) return addr<PhysAddr>(address);
    return this.topology.toPhys(this.topology.hostBridgeOf(fn), addr<BusAddr>(address));
  }

  /** What the root complex does with a physical address. `from` is `null` for a CPU: those it always forwards. */
  #decode(from: PciFunction | null, physical: PhysAddr): Delivery {
    if (this.memory.isRam(physical)) return { kind: "memory", physical, target: "ram" };
    for (const bridge of this.topology.hostBridges) {
      const down = routeFromRoot(this.topology, bridge, physical);
      if (down.end.kind !== "function") continue;
      if (from && !this.#asked()) {
        this.trace.emit("route", () => `root complex: does not forward ${hex(physical)} between its ports`);
        return {
          kind: "lost",
          reason: `the root complex does not forward peer requests: ${hex(physical)} reached nobody`,
        };
      }
      for (const hop of down.hops) this.trace.emit("route", () => `${hop.at}: ${hop.action}`);
      return this.#claim(down.end.fn, down.end.bar, down.end.offset);
    }
    return { kind: "lost", reason: `nobody claims ${hex(physical)}` };
  }

  #claim(fn: PciFunction, bar: Bar, offset: number): Delivery {
    if (!this.memoryDecode(fn))
      return { kind: "lost", reason: `${fn.address} does not decode memory: unsupported request` };
    return { kind: "memory", physical: addr<PhysAddr>(bar.base + offset), target: "mmio" };
  }
}
