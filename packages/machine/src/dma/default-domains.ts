/** What each device gets when it is probed: its DMA API, and the domain that it is attached to. */
import { addr, PAGE_SIZE, type PhysAddr } from "@dma-buf/core";
import type { PageTable } from "@dma-buf/page-table";
import type { PciFunction, Topology } from "@dma-buf/pci";
import type { CpuCache } from "../cpu-cache.js";
import type { Attached, IommuDomain } from "../iommu/domain.js";
import type { IommuUnit } from "../iommu/unit.js";
import type { DmaPolicy } from "../options.js";
import type { PhysicalMemory } from "../physical.js";
import { DirectDma, type Reach } from "./direct.js";
import type { DeviceDma } from "./device-dma.js";
import { IommuDma } from "./iommu-dma.js";
import { IovaAllocator } from "./iova.js";
import { pagesOf } from "./pages.js";
import { type ReservedRegion, reservedRegions } from "./reserved.js";
import { Swiotlb } from "./swiotlb.js";

/** Into RAM, bytes: low, so that devices with 32-bit masks reach it. */
const SWIOTLB_AT = 0x2000_0000;
const SWIOTLB_BYTES = 4 * 2 ** 20;

/** What the machine gives. */
export interface DomainParts {
  readonly topology: Topology;
  readonly unit: IommuUnit;
  readonly memory: PhysicalMemory;
  readonly cache: CpuCache | null;
  newTable(name: string): PageTable;
}

export class DefaultDomains {
  readonly #parts: DomainParts;
  readonly #policy: DmaPolicy;
  readonly #swiotlb: Swiotlb | null;
  readonly #direct: DirectDma[] = [];
  readonly #translated: IommuDma[] = [];

  constructor(parts: DomainParts, policy: DmaPolicy) {
    this.#parts = parts;
    this.#policy = policy;
    const { swiotlbBytes = SWIOTLB_BYTES } = policy;
    const base = addr<PhysAddr>((parts.memory.ram[0]?.base ?? 0) + SWIOTLB_AT);
    this.#swiotlb = swiotlbBytes > 0 ? new Swiotlb(parts.memory, base, swiotlbBytes) : null;
  }

  /** Attaches `fn` to a default domain of its own, which translates if it is not trusted and there is an IOMMU. */
  probe(fn: PciFunction): DeviceDma {
    const { iommu } = this.#policy;
    const isTranslated = iommu === "translated" || (iommu === "identity" && this.#isUntrusted(fn));
    const made = isTranslated ? this.#translate(fn) : this.#passThrough(fn);
    this.#parts.unit.attach(fn, made.attached);
    return made.dma;
  }

  /** Of `fn` under this policy. */
  reserved(fn: PciFunction): readonly ReservedRegion[] {
    return reservedRegions(this.#parts.topology, fn, this.#parts.unit.kind, this.#policy.directRegions ?? []);
  }

  /** The timers of all flush queues. */
  drainQueues(): void {
    for (const dma of this.#translated) dma.drainQueue();
  }

  /** For the ledger: slots of bounce buffers, IOVAs, and of those the ones that are unmapped and held until a flush. */
  get counts(): { readonly swiotlbSlots: number; readonly iovas: number; readonly queuedIovas: number } {
    const iovas = this.#translated.reduce((n, dma) => n + dma.iovas, 0);
    const queuedIovas = this.#translated.reduce((n, dma) => n + dma.queued, 0);
    return { swiotlbSlots: this.#swiotlb?.live ?? 0, iovas, queuedIovas };
  }

  /** Mappings that are out. */
  get live(): number {
    return [...this.#direct, ...this.#translated].reduce((n, dma) => n + dma.live, 0);
  }

  #reach({ address }: PciFunction): Reach {
    const { dmaMaskBits = 64, busDmaLimit = Infinity } = this.#policy;
    const maskBits = typeof dmaMaskBits === "number" ? dmaMaskBits : (dmaMaskBits.get(address) ?? 64);
    return { maskBits, end: Math.min(2 ** maskBits, busDmaLimit) };
  }

  #isUntrusted(fn: PciFunction): boolean {
    return this.#policy.untrusted?.includes(fn.address) ?? false;
  }

  #passThrough(fn: PciFunction): { dma: DirectDma; attached: Attached } {
    const ramEnd = Math.max(...this.#parts.memory.ram.map((r) => r.base + r.sizeBytes));
    const dma = new DirectDma(fn.address, this.#reach(fn), this.#swiotlb, ramEnd, this.#parts.cache);
    this.#direct.push(dma);
    return { dma, attached: "identity" };
  }

  #translate(fn: PciFunction): { dma: IommuDma; attached: IommuDomain } {
    const { unit, memory } = this.#parts;
    const name = `default domain of ${fn.address}`;
    const table = this.#parts.newTable(name);
    const domain = unit.createDomain(name, table);
    const reach = this.#reach(fn);
    const last = Math.min(reach.end, 2 ** table.format.vaBits) - 1;
    const isUntrusted = this.#isUntrusted(fn);
    const dma = new IommuDma({
      unit,
      domain,
      table,
      tables: memory.tables,
      maskBits: reach.maskBits,
      iovas: new IovaAllocator({ last, reserved: this.#mapped(fn, table) }),
      flush: isUntrusted ? "strict" : (this.#policy.flush ?? "strict"),
      isUntrusted,
      bounce: this.#swiotlb,
    });
    this.#translated.push(dma);
    return { dma, attached: domain };
  }

  /** The reserved regions, of which those that firmware asks for are mapped one to one. */
  #mapped(fn: PciFunction, table: PageTable): readonly ReservedRegion[] {
    const reserved = this.reserved(fn);
    for (const { kind, base, sizeBytes } of reserved) if (kind === "direct") mapDirect(table, base, sizeBytes);
    return reserved;
  }
}

/** Firmware's ranges need neither be whole pages nor keep clear of each other. */
function mapDirect(table: PageTable, base: number, sizeBytes: number): void {
  const pages = pagesOf(base, sizeBytes);
  const map = (at: number, size: number): void => table.map(at, addr<PhysAddr>(at), size, { read: true, write: true });
  if (table.leaves(pages.address, pages.sizeBytes).next().done) return map(pages.address, pages.sizeBytes);
  for (let at = pages.address; at < pages.address + pages.sizeBytes; at += PAGE_SIZE)
    if (table.lookup(at) < 0) map(at, PAGE_SIZE);
}
