/**
 * The modelled machine: memory, a PCI topology, an IOMMU in front of it, devices that do DMA, guests with a second
 * stage. Real bytes travel; where they end up is what a verdict is derived from.
 */
import {
  addr,
  type BusAddr,
  type DmaAddr,
  hex,
  type Op,
  PAGE_SIZE,
  type Device,
  type P2pProvider,
  type P2pVerdict,
  type PhysAddr,
  type TableMemory,
  type Trace,
} from "@dma-buf/core";
import {
  createPageTable,
  createTableMemory,
  type Format,
  type PageTable,
  type PageTableOptions,
} from "@dma-buf/page-table";
import { type AcsBits, type Bar, P2pCache, type PciFunction, type Topology } from "@dma-buf/pci";
import type { Arrival, Delivery, Destination } from "./delivery.js";
import { MemoryAttributes } from "./attributes.js";
import { CpuCache } from "./cpu-cache.js";
import { MachineDevice } from "./device.js";
import { DefaultDomains } from "./dma/default-domains.js";
import type { ReservedRegion } from "./dma/reserved.js";
import { Fabric } from "./fabric.js";
import { FunctionStates } from "./function-state.js";
import type { Attached } from "./iommu/domain.js";
import type { FaultLog } from "./iommu/fault.js";
import { FORMAT_OF, OVERMAP_OF } from "./iommu/kind.js";
import { IommuUnit } from "./iommu/unit.js";
import { ResourceLedger } from "./ledger.js";
import type { IommuMode, MachineOptions } from "./options.js";
import { PhysicalMemory } from "./physical.js";
import { PrivateMemory } from "./private.js";
import { ramOf } from "./ram-layout.js";
import { Travel } from "./travel.js";
import { Ways } from "./ways.js";

/** Into RAM, bytes. */
const TABLES_AT = 0x1000_0000;

export class Machine {
  #topology: Topology;
  readonly trace: Trace;
  readonly memory: PhysicalMemory;
  /** Where devices do not look into the caches of the CPUs, these; `null`: they do, and nobody can tell. */
  readonly cpuCache: CpuCache | null;
  readonly iommu: IommuMode;
  /** The unit in front of all devices. Where the mode is `off`, everything passes through it. */
  readonly iommuUnit: IommuUnit;
  /** Every access that any device or CPU issued, in order. */
  readonly arrivals: Arrival[] = [];
  /** How each of them got there; of a trace that keeps nothing, none. */
  readonly ways: Ways;
  /** What each function answers and sends: decode, power, resets, removal. */
  readonly functions: FunctionStates;
  /** Memory that belongs to one VM alone. */
  readonly private: PrivateMemory;
  /** How memory wants to be reached, and how it is. */
  readonly attributes: MemoryAttributes;
  /** Everything that was taken and has to be given back. */
  readonly resources: ResourceLedger = new ResourceLedger();
  readonly #fabric: Fabric;
  readonly #travel: Travel;
  readonly #domains: DefaultDomains;
  /** Answers that the kernel keeps, by provider. */
  readonly #p2p = new Map<string, P2pCache>();
  readonly #devices = new Map<string, MachineDevice>();
  #tables: readonly PageTable[] = [];

  constructor(options: MachineOptions) {
    const { topology, trace, rootComplexForwards, iommuKind = "vt-d", iommuFaultsMax = 8, tablesMax = 256 } = options;
    this.#topology = topology;
    this.trace = trace;
    const ways = new Ways(trace);
    this.ways = ways;
    this.iommu = options.iommu;
    const ram = ramOf(topology, options.ramBytesMax);
    const basePhys = addr<PhysAddr>(ram.base + TABLES_AT);
    const memory = new PhysicalMemory([ram], tableMemory(basePhys, tablesMax * PAGE_SIZE, options.usedTables));
    this.memory = memory;
    this.cpuCache = options.coherent === false ? new CpuCache(memory) : null;
    this.private = new PrivateMemory(() => this.arrivals.length);
    this.attributes = new MemoryAttributes(memory, topology);
    const functions = new FunctionStates(topology, trace);
    this.functions = functions;
    const fabric = new Fabric({ topology, ways, memory, functions, private: this.private, rootComplexForwards });
    this.#fabric = fabric;
    const unit = new IommuUnit(iommuKind, memory, ways, iommuFaultsMax, options.untrusted ?? []);
    this.iommuUnit = unit;
    functions.onReset((fn) => unit.disableAts(fn));
    functions.isolation = unit;
    const now = (): Topology => this.#topology;
    this.#travel = new Travel({
      get topology() {
        return now();
      },
      ways,
      memory,
      fabric,
      unit,
      functions,
    });
    const newTable = (name: string): PageTable => this.iommuTable(name);
    this.#domains = new DefaultDomains({ topology, unit, memory, cache: this.cpuCache, newTable }, options);
    this.resources.registerAll(() => this.ledger);
    this.resources.registerAll(() => this.#domains.counts);
    this.resources.registerAll(() => unit.counts);
  }

  /** As it is now: what {@link setAcs} writes makes another. */
  get topology(): Topology {
    return this.#topology;
  }

  /**
   * Writes a port's ACS control register, at once: `setpci`, or a quirk. Requests on their way go on as they were routed.
   * @throws RangeError for a function that has no ACS capability, or a bit that its capability has not
   */
  setAcs(port: string, control: Partial<AcsBits>): void {
    this.#topology = this.#topology.withAcs(port, control);
    this.trace.emit(
      "event",
      () =>
        `${port}: ACS ${Object.entries(control)
          .map(([bit, on]) => `${bit} ${on ? "on" : "off"}`)
          .join(", ")}`,
    );
  }

  /** The function at `address` as a device that does DMA in its default domain. One object a function. */
  device(address: string): MachineDevice {
    const known = this.#devices.get(address);
    if (known) return known;
    const fn = this.topology.get(address);
    const device = new MachineDevice(this, fn, this.#domains.probe(fn));
    this.#devices.set(address, device);
    return device;
  }

  /**
   * Puts a device into another domain, or lets its addresses pass (`identity`), or stops them (`blocked`).
   * @throws DmaBufError `EBUSY` the device is blocked for a reset
   */
  attachDomain(device: MachineDevice, to: Attached): void {
    this.iommuUnit.attach(device.fn, to);
  }

  domainOf(device: MachineDevice): Attached {
    return this.iommuUnit.attachedTo(device.fn);
  }

  /** IOVAs that no mapping of `device` may have. */
  reservedRegions(device: MachineDevice): readonly ReservedRegion[] {
    return this.#domains.reserved(device.fn);
  }

  /** What the IOMMU noted of requests that it stopped, as many as it has records for. */
  get iommuFaults(): FaultLog {
    return this.iommuUnit.faults;
  }

  /** The 10 ms timers of all flush queues, at once: there is no clock here. Does not sleep. */
  flushQueueTimer(): void {
    this.#domains.drainQueues();
  }

  /** A table of a domain, filled as the unit's driver in Linux fills it. `format`: one that the unit walks. */
  iommuTable(name: string, format: Format = FORMAT_OF[this.iommuUnit.kind]): PageTable {
    return this.pageTable(name, format, { overmap: OVERMAP_OF[this.iommuUnit.kind] });
  }

  /** A page table in this machine's memory whose stores are in the trace. */
  pageTable(name: string, format: Format, options: Omit<PageTableOptions, "onStore"> = {}): PageTable {
    const table = createPageTable(format, this.memory.tables, {
      ...options,
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
      verdict: (client) => verdictFor(client, (from) => this.#peers(fn).mapType(from).answer),
      distance: (client) => verdictFor(client, (from) => this.#peers(fn).distance(from)),
    };
  }

  #peers({ address }: PciFunction): P2pCache {
    let cache = this.#p2p.get(address);
    if (!cache) this.#p2p.set(address, (cache = new P2pCache(address, () => this.#topology)));
    return cache;
  }

  /** COMMAND.MEMORY of a function, at once. Off: nobody claims its BARs. */
  setMemoryDecode(fn: PciFunction, on: boolean): void {
    this.functions.setMemory(fn, on);
  }

  memoryDecode(fn: PciFunction): boolean {
    return this.functions.memory(fn);
  }

  /** Sends one request of `device` on its way: it is issued, translated, and arrives, with others in between. */
  *deliver(device: MachineDevice, address: DmaAddr | BusAddr, access: "read" | "write"): Op<Delivery> {
    return yield* this.#travel.send({ fn: device.fn, address, access });
  }

  /** Where a CPU's access to a physical address is bound for; {@link land} is its end. */
  destination(physical: PhysAddr): Destination {
    return this.#fabric.decode(null, physical);
  }

  /** The end of a CPU's access: what is there is asked now, not when it was issued. */
  land(to: Destination, by: string): Delivery {
    return this.#fabric.land(to, by, null);
  }

  /** A CPU's access by physical address, from issue to arrival in one step. */
  cpuAccess(physical: PhysAddr, by = "CPU"): Delivery {
    return this.land(this.destination(physical), by);
  }

  /** The bytes that are there now, in the CPUs' caches or behind them. Nobody's access. */
  peek(physical: PhysAddr, sizeBytes: number): Uint8Array {
    return this.cpuCache?.snoop(physical, sizeBytes) ?? this.memory.read(physical, sizeBytes);
  }

  /** Did an answer hang on {@link MachineOptions.rootComplexForwards}? */
  get forwardsAsked(): boolean {
    return this.#fabric.forwardsAsked;
  }

  /** Mappings of the DMA API, and table pages, that are still out. Tables that a page table keeps empty are not. */
  get ledger(): { readonly dmaMappings: number; readonly tables: number } {
    const idle = this.#tables.reduce((n, t) => n + t.idleTables, 0);
    return { dmaMappings: this.#domains.live, tables: this.memory.tables.liveTables - idle };
  }

  /** Books an access. */
  book(arrival: Omit<Arrival, "step">): void {
    const booked = { ...arrival, step: this.trace.scheduler.steps };
    this.arrivals.push(booked);
    this.ways.end(booked);
  }
}

function verdictFor(client: Device, ask: (from: string) => P2pVerdict): P2pVerdict {
  const { fn } = client as Partial<MachineDevice>;
  if (!fn) return { mapType: "not-supported", distance: -1, reason: `${client.name} is on no PCI bus` };
  const { mapType, distance, reason } = ask(fn.address);
  return { mapType, distance, reason };
}

/** Making a pool of tables costs more than clearing one, and a search of many orders makes a machine for each. */
function tableMemory(basePhys: PhysAddr, sizeBytes: number, used: TableMemory | null = null): TableMemory {
  const buffer = used?.words.buffer as ArrayBuffer | undefined;
  return createTableMemory({ basePhys, sizeBytes, ...(buffer?.byteLength === sizeBytes ? { buffer } : {}) });
}
