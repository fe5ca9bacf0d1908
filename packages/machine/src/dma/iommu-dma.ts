/** dma-iommu: an IOVA of the device's own domain, written into the table that the IOMMU walks. */
import {
  addr,
  type Direction,
  type DmaAddr,
  type DmaMapAttributes,
  type Iova,
  PAGE_SIZE,
  type PhysAddr,
} from "@dma-buf/core";
import type { DeviceDma, DmaIovaState } from "./device-dma.js";
import { FlushQueue, type Queued } from "./flush-queue.js";
import type { IommuDmaInit } from "./iommu-dma-init.js";
import { IovaState } from "./iova-state.js";
import { pagesOf, protectionOf } from "./pages.js";
import { BOUNCE_MAX_BYTES } from "./swiotlb.js";

/** Strict: unmap clears entries, flushes, and gives the IOVA back. Lazy: the flush and the IOVA wait in a queue. */
export class IommuDma implements DeviceDma {
  readonly #init: IommuDmaInit;
  readonly #queue: FlushQueue | null;
  /** Bounced mappings, by DMA address. */
  readonly #bounced = new Map<number, PhysAddr>();
  #live = 0;

  constructor(init: IommuDmaInit) {
    this.#init = init;
    const { unit, domain } = init;
    const flush = (): void => unit.flushNow(domain);
    this.#queue = init.flush === "lazy" ? new FlushQueue(flush, (one) => this.#release(one)) : null;
  }

  /** Any bytes: the IOVA has their offset in the page. @throws DmaBufError `ENOMEM` no IOVA, table or bounce buffer left. */
  mapPhys(physical: PhysAddr, sizeBytes: number, direction: Direction, attributes: DmaMapAttributes): DmaAddr {
    const slots = this.#mustBounce(physical, sizeBytes, attributes) ? this.#init.bounce : null;
    const target = slots?.map(physical, sizeBytes, direction, true) ?? physical;
    try {
      const address = this.#mapped(target, sizeBytes, direction);
      if (slots) this.#bounced.set(address, target);
      this.#live++;
      return address;
    } catch (error) {
      slots?.unmap(target, true);
      throw error;
    }
  }

  unmapPhys(address: DmaAddr, sizeBytes: number, attributes?: DmaMapAttributes): void {
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
    const slot = this.#bounced.get(address);
    if (slot !== undefined) this.#init.bounce?.unmap(slot, attributes?.skipCpuSync ?? false);
    this.#bounced.delete(address);
    this.#live--;
  }

  syncForCpu(address: DmaAddr, sizeBytes: number): void {
    const slot = this.#slotAt(address);
    if (slot !== null) this.#init.bounce?.syncForCpu(slot, sizeBytes);
  }

  syncForDevice(address: DmaAddr, sizeBytes: number): void {
    const slot = this.#slotAt(address);
    if (slot !== null) this.#init.bounce?.syncForDevice(slot, sizeBytes);
  }

  get maxMappingBytes(): number {
    return this.#init.bounce ? BOUNCE_MAX_BYTES : Infinity;
  }

  tryAllocIova(physical: PhysAddr, sizeBytes: number): DmaIovaState | null {
    const { address, sizeBytes: pages } = pagesOf(physical, sizeBytes);
    let iova: Iova;
    try {
      iova = this.#init.iovas.alloc(pages);
    } catch {
      // Linux says no without saying why: the caller maps in the ordinary way then.
      return null;
    }
    this.#live++;
    const end = (): void => {
      this.#init.iovas.free(iova);
      this.#live--;
    };
    return new IovaState(this.#init, { iova, into: physical - address, sizeBytes, pages, end });
  }

  get live(): number {
    return this.#live;
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

  #mustBounce(physical: PhysAddr, sizeBytes: number, { mmio }: DmaMapAttributes): boolean {
    const isAligned = physical % PAGE_SIZE === 0 && sizeBytes % PAGE_SIZE === 0;
    return this.#init.bounce !== null && !mmio && !isAligned;
  }

  /** The slot behind a DMA address that may lie within a mapping. */
  #slotAt(address: DmaAddr): PhysAddr | null {
    const physical = this.#init.table.lookup(address);
    const isSlot = [...this.#bounced.values()].some((slot) => slot <= physical && physical < slot + BOUNCE_MAX_BYTES);
    return isSlot ? addr<PhysAddr>(physical) : null;
  }
}
