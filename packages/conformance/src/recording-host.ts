/** A host that implements every host interface core states, and remembers what was asked of it. */
import {
  type AccessResult,
  type Op,
  perform,
  addr,
  type Device,
  type DmaAddr,
  type DmaApi,
  type DmaIovaState,
  DmaBufError,
  type P2pProvider,
  type P2pVerdict,
  PAGE_SIZE,
  type PhysAddr,
  type Space,
  type TableMemory,
} from "@dma-buf/core";
import { tableMemory } from "./table-memory.js";

/** Addresses that the host hands out begin here, so that a physical address is never taken for one by accident. */
const IOVA_BASE = 0x4000_0000;

/** What a recording host may be told about itself. */
export interface RecordingHostOptions {
  /** The provider's verdict for every client on a PCI bus. @defaultValue through-host-bridge: what is mapped has an IOVA */
  readonly mapType?: "through-host-bridge" | "bus-address";
  /** Does this mapping fail? Asked with the kernel's name of the call: fault injection. @defaultValue never */
  readonly mapFails?: (op: string) => boolean;
  /** Does this allocation of page tables fail? Fault injection. @defaultValue never */
  readonly tableFails?: () => boolean;
}

/**
 * One device on one bus, in a domain of its own. Every DMA mapping is a range of the domain; what is left of them is
 * {@link liveMappings}.
 * @example
 * const host = new RecordingHost();
 * host.device.dma.mapPhys(addr<PhysAddr>(0x1000), 4096, "to-device");
 * host.log; // ["mapPhys 4096"]
 */
export class RecordingHost {
  readonly #mappings = new Map<number, { readonly physical: PhysAddr; readonly sizeBytes: number }>();
  readonly #domain: Space = { kind: "iova", domain: this };
  readonly #bus: Space = { kind: "pci-bus", bridge: this };
  readonly #states = new Set<DmaIovaState>();
  readonly #mapFails: (op: string) => boolean;
  readonly #tableFails: () => boolean;
  readonly #freed = new Set<number>();
  #next = IOVA_BASE;
  #tables: TableMemory | null = null;
  /** What was asked of the DMA API, in order: `mapPhys 4096`, `unmapPhys 1073741824`. */
  readonly log: string[] = [];
  readonly device: Device;

  /** Every client on a PCI bus reaches it, through the host bridge unless told otherwise; others do not. */
  readonly provider: P2pProvider;

  constructor(name = "recording device", options: RecordingHostOptions = {}) {
    this.#mapFails = options.mapFails ?? (() => false);
    this.#tableFails = options.tableFails ?? (() => false);
    this.provider = providerOf(options.mapType ?? "through-host-bridge");
    this.device = {
      name,
      dma: this.#dma(),
      spaces: [this.#bus, this.#domain],
      write: this.#access,
      read: this.#access,
    };
  }

  /** Made when it is asked for: most that is tried in many orders needs none. */
  get tables(): TableMemory {
    return (this.#tables ??= tableMemory(this.#tableFails));
  }

  /** Page tables handed out and not given back. */
  get liveTables(): number {
    return this.#tables?.liveTables ?? 0;
  }

  /** DMA mappings made and not given back, and IOVAs that were not destroyed. */
  get liveMappings(): number {
    return this.#mappings.size + this.#states.size;
  }

  /** Where the device's address goes, or `null`: it would fault. */
  translate(address: number): PhysAddr | null {
    for (const [iova, { physical, sizeBytes }] of this.#mappings)
      if (iova <= address && address < iova + sizeBytes) return addr<PhysAddr>(physical + address - iova);
    return null;
  }

  /**
   * Where an access to the device's address ends: what was mapped for it, or, where the provider's verdict is
   * `bus-address` and this host gave out no such address, the same number on the bus. `null`: it would fault.
   */
  place(address: number): number | null {
    const given = address >= IOVA_BASE && address < this.#next;
    const onBus = this.provider.verdict(this.device).mapType === "bus-address";
    return onBus && !given ? address : this.translate(address);
  }

  /** Where an access ends that puts out `address`: what the device was given goes through its domain, the rest is a place. */
  placeOf(address: number): number | null {
    return address >= IOVA_BASE && address < this.#next ? this.translate(address) : address;
  }

  /**
   * For an exporter's author to tell: those bytes belong to somebody else now, or are being copied away. A device that
   * reaches them until {@link allocated} loses what it writes.
   */
  freed(physical: PhysAddr, sizeBytes: number): void {
    for (let page = physical; page < physical + sizeBytes; page = addr(page + PAGE_SIZE)) this.#freed.add(page);
  }

  /** They are the exporter's again. */
  allocated(physical: PhysAddr, sizeBytes: number): void {
    for (let page = physical; page < physical + sizeBytes; page = addr(page + PAGE_SIZE)) this.#freed.delete(page);
  }

  /** Was the page around `place` freed? */
  isFreed(place: number): boolean {
    return this.#freed.has(place - (place % PAGE_SIZE));
  }

  #dma(): DmaApi {
    return {
      maskBits: 64,
      mapPhys: (physical, sizeBytes) => {
        this.log.push(`mapPhys ${physical}`);
        this.#checkMap("dma_map_phys");
        const iova = this.#take(sizeBytes);
        this.#mappings.set(iova, { physical, sizeBytes });
        return addr<DmaAddr>(iova);
      },
      unmapPhys: (address, sizeBytes) => {
        this.log.push(`unmapPhys ${address}`);
        if (this.#mappings.get(address)?.sizeBytes !== sizeBytes)
          throw new RangeError(
            `unmapPhys(${address}, ${sizeBytes}): no such mapping; give back what was mapped, whole`,
          );
        this.#mappings.delete(address);
      },
      tryAllocIova: (_physical, sizeBytes) => (this.#mapFails("dma_iova_try_alloc") ? null : this.#iovas(sizeBytes)),
    };
  }

  #checkMap(op: string): void {
    if (this.#mapFails(op))
      throw new DmaBufError("ENOMEM", { op, stage: "map", message: "told to fail: undo what is mapped so far" });
  }

  #take(sizeBytes: number): number {
    const iova = this.#next;
    this.#next += Math.ceil(sizeBytes / PAGE_SIZE) * PAGE_SIZE;
    return iova;
  }

  /** IOVAs that are filled piece by piece; until they are destroyed they count as a mapping. */
  #iovas(sizeBytes: number): DmaIovaState {
    const base = this.#take(sizeBytes);
    const mappings = this.#mappings;
    const state: DmaIovaState = {
      address: addr<DmaAddr>(base),
      sizeBytes,
      link: (offset, physical, linkedBytes) => {
        this.#checkMap("dma_iova_link");
        if (mappings.has(base + offset))
          throw new DmaBufError("EADDRINUSE", {
            op: "dma_iova_link",
            stage: "map",
            message: `${offset} is linked: link the bytes after it`,
          });
        mappings.set(base + offset, { physical, sizeBytes: linkedBytes });
      },
      sync() {},
      *unlink(offset, linkedBytes) {
        for (const iova of mappings.keys())
          if (iova >= base + offset && iova < base + offset + linkedBytes) mappings.delete(iova);
      },
      destroy: (mappedBytes) => {
        this.#states.delete(state);
        return state.unlink(0, mappedBytes);
      },
    };
    this.#states.add(state);
    return state;
  }

  // An access answers with zeros or a fault: the kit asks where an address leads, not what lies there.
  readonly #access = (address: number, bytes: Uint8Array | number): Op<AccessResult> => {
    const reached = this.translate(address) !== null;
    const zeros = new Uint8Array(typeof bytes === "number" ? bytes : bytes.length);
    return perform<AccessResult>(
      reached
        ? { kind: "done", bytes: zeros }
        : { kind: "fault", by: "recording host", reason: `nothing is mapped at ${address}` },
    );
  };
}

function providerOf(mapType: P2pVerdict["mapType"]): P2pProvider {
  return {
    busOffsetBytes: 0,
    verdict: ({ name, spaces }) =>
      spaces.some((s) => s.kind === "pci-bus")
        ? { mapType, distance: 2, reason: "the recording host says so" }
        : { mapType: "not-supported", distance: -1, reason: `${name} is on no PCI bus` },
  };
}
