/** dma-iommu: an IOVA of the device's own domain, written into the table that the IOMMU walks. */
import {
  addr,
  DmaBufError,
  type Direction,
  type DmaAddr,
  type DmaIovaState,
  type DmaMapAttributes,
  hex,
  type Iova,
  type PhysAddr,
} from "@dma-buf/core";
import type { DeviceDma } from "./device-dma.js";
import { FlushQueue, type Queued } from "./flush-queue.js";
import type { IommuDmaInit } from "./iommu-dma-init.js";
import { IovaState } from "./iova-state.js";
import { checkMapped, LiveMappings } from "./mappings.js";
import { isWholePages, pagesOf, protectionOf } from "./pages.js";
import { BOUNCE_MAX_BYTES, type Swiotlb } from "./swiotlb.js";

/** Strict: unmap clears entries, flushes, and gives the IOVA back. Lazy: the flush and the IOVA wait in a queue. */
export class IommuDma implements DeviceDma {
  readonly #init: IommuDmaInit;
  readonly #queue: FlushQueue | null;
  readonly #mappings = new LiveMappings();
  #states = 0;

  constructor(init: IommuDmaInit) {
    this.#init = init;
    const { unit, domain } = init;
    const flush = (): void => unit.flushNow(domain);
    this.#queue = init.flush === "lazy" ? new FlushQueue(flush, (one) => this.#release(one)) : null;
  }

  /**
   * Any bytes: the IOVA has their offset in the page.
   * @throws DmaBufError `EINVAL` no byte · `ENOMEM` no IOVA, table or bounce buffer left · `EIO` must not bounce, and would
   */
  mapPhys(physical: PhysAddr, sizeBytes: number, direction: Direction, attributes: DmaMapAttributes): DmaAddr {
    checkMapped(physical, sizeBytes);
    const slots = this.#slotsFor(physical, sizeBytes, attributes);
    const target = slots?.map(physical, sizeBytes, direction, true) ?? physical;
    try {
      const address = this.#mapped(target, sizeBytes, direction);
      this.#mappings.add({ address, sizeBytes, slot: slots ? target : null });
      return address;
    } catch (error) {
      slots?.unmap(target, true);
      throw error;
    }
  }

  /** @throws DmaBufError `EINVAL` this is not what was mapped; nothing changed */
  unmapPhys(address: DmaAddr, sizeBytes: number, attributes?: DmaMapAttributes): void {
    const { slot } = this.#mappings.take(address, sizeBytes);
    const { table, unit, domain } = this.#init;
    const range = pagesOf(address, sizeBytes);
    const gather: PhysAddr[] = [];
    table.unmap(range.address, range.sizeBytes, gather);
    const one: Queued = { iova: addr<Iova>(range.address), tables: gather };
    if (this.#queue) this.#queue.add(one);
    else {
      unit.flushNow(domain, range);
      this.#release(one);
    }
    if (slot !== null) this.#init.bounce?.unmap(slot, attributes?.skipCpuSync ?? false);
  }

  syncForCpu(address: DmaAddr, sizeBytes: number): void {
    const slot = this.#mappings.slotAt(address);
    if (slot !== null) this.#init.bounce?.syncForCpu(slot, sizeBytes);
  }

  syncForDevice(address: DmaAddr, sizeBytes: number): void {
    const slot = this.#mappings.slotAt(address);
    if (slot !== null) this.#init.bounce?.syncForDevice(slot, sizeBytes);
  }

  get maskBits(): number {
    return this.#init.maskBits;
  }

  get maxMappingBytes(): number {
    return this.#init.isUntrusted && this.#init.bounce ? BOUNCE_MAX_BYTES : Infinity;
  }

  tryAllocIova(physical: PhysAddr, sizeBytes: number): DmaIovaState | null {
    if (!(sizeBytes > 0)) return null;
    const { address, sizeBytes: pages } = pagesOf(physical, sizeBytes);
    let iova: Iova;
    try {
      iova = this.#init.iovas.alloc(pages);
    } catch {
      // Linux says no without saying why: the caller maps in the ordinary way then.
      return null;
    }
    this.#states++;
    const end = (): void => {
      this.#init.iovas.free(iova);
      this.#states--;
    };
    return new IovaState(this.#init, { iova, into: physical - address, sizeBytes, pages, end });
  }

  get live(): number {
    return this.#mappings.live + this.#states;
  }

  /** IOVAs that are taken: mapped, of a state, or held until a flush. */
  get iovas(): number {
    return this.#init.iovas.live;
  }

  /** Unmapped, and held until a flush. */
  get queued(): number {
    return this.#queue?.length ?? 0;
  }

  /** What the queue's timer does, 10 ms after the first entry. */
  drainQueue(): void {
    this.#queue?.drain();
  }

  #mapped(physical: PhysAddr, sizeBytes: number, direction: Direction): DmaAddr {
    const { table, iovas } = this.#init;
    const pages = pagesOf(physical, sizeBytes);
    const iova = iovas.alloc(pages.sizeBytes);
    try {
      table.map(iova, addr<PhysAddr>(pages.address), pages.sizeBytes, protectionOf(direction));
    } catch (error) {
      iovas.free(iova);
      throw error;
    }
    return addr<DmaAddr>(iova + (physical - pages.address));
  }

  #release({ iova, tables }: Queued): void {
    for (const table of tables) this.#init.tables.freeTable(table);
    this.#init.iovas.free(iova);
  }

  /** `null`: it does not bounce. @throws DmaBufError it must, and `ENOMEM` there are no slots, or `EIO` it must not */
  #slotsFor(physical: PhysAddr, sizeBytes: number, attributes: DmaMapAttributes): Swiotlb | null {
    const { isUntrusted, bounce } = this.#init;
    if (!isUntrusted || attributes.mmio || isWholePages(physical, sizeBytes)) return null;
    const { requireCoherent = false } = attributes;
    if (bounce && !requireCoherent) return bounce;
    const why = requireCoherent ? "it must be coherent" : "bounce buffers are inactive";
    throw new DmaBufError(requireCoherent ? "EIO" : "ENOMEM", {
      op: "dma_map_phys",
      stage: "map",
      message: `${hex(physical)} of an untrusted device must bounce, and ${why}: map whole pages`,
      values: { physical, sizeBytes },
    });
  }
}
