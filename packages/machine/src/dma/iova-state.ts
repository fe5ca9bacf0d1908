/** `dma_iova_*`: IOVAs first, mappings piece by piece, and one flush when they go. */
import {
  addr,
  DmaBufError,
  type Direction,
  type DmaAddr,
  type DmaMapAttributes,
  hex,
  type Iova,
  type Op,
  PAGE_SIZE,
  type PhysAddr,
} from "@dma-buf/core";
import type { DmaIovaState } from "./device-dma.js";
import type { IommuDmaInit } from "./iommu-dma-init.js";
import { pagesOf, protectionOf } from "./pages.js";

/** IOVAs that were taken for it. */
interface Taken {
  readonly iova: Iova;
  /** Offset of the first byte in its page. */
  readonly into: number;
  readonly sizeBytes: number;
  /** Bytes of IOVA, whole pages. */
  readonly pages: number;
  /** Gives them back. */
  readonly end: () => void;
}

export class IovaState implements DmaIovaState {
  readonly address: DmaAddr;
  readonly sizeBytes: number;
  readonly #dma: IommuDmaInit;
  readonly #taken: Taken;

  constructor(dma: IommuDmaInit, taken: Taken) {
    this.#dma = dma;
    this.#taken = taken;
    this.address = addr<DmaAddr>(taken.iova + taken.into);
    this.sizeBytes = taken.sizeBytes;
  }

  link(
    offset: number,
    physical: PhysAddr,
    sizeBytes: number,
    direction: Direction,
    attributes: DmaMapAttributes,
  ): void {
    const { address, sizeBytes: pages } = pagesOf(this.address + offset, sizeBytes);
    const values = { offset, physical, sizeBytes };
    if (address + pages > this.#taken.iova + this.#taken.pages)
      throw refused("EINVAL", `${hex(offset + sizeBytes)} is beyond ${this.sizeBytes} bytes: allocate more`, values);
    if ((this.address + offset - physical) % PAGE_SIZE !== 0)
      throw refused("EINVAL", `${hex(physical)} has another offset in its page: allocate for it`, values);
    const isWhole = physical % PAGE_SIZE === 0 && sizeBytes % PAGE_SIZE === 0;
    if (!isWhole && !attributes.mmio && this.#dma.bounce)
      throw refused("EPERM", `${hex(physical)} must be bounced and is not whole pages: use dma_map_phys`, values);
    this.#dma.table.map(address, addr<PhysAddr>(physical - (physical % PAGE_SIZE)), pages, protectionOf(direction));
  }

  sync(_offset: number, _sizeBytes: number): void {
    // Neither unit caches that an entry is missing, so a new one is in force as soon as it is written.
  }

  *unlink(offset: number, sizeBytes: number): Op<void> {
    const { table, tables, unit, domain } = this.#dma;
    const range = pagesOf(this.address + offset, sizeBytes);
    const gather: PhysAddr[] = [];
    table.unmap(range.address, range.sizeBytes, gather);
    yield* unit.flush(domain, range);
    for (const freed of gather) tables.freeTable(freed);
  }

  *destroy(mappedBytes: number): Op<void> {
    if (mappedBytes > 0) yield* this.unlink(0, mappedBytes);
    this.#taken.end();
  }
}

function refused(code: "EINVAL" | "EPERM", message: string, values: Record<string, unknown>): DmaBufError {
  return new DmaBufError(code, { op: "dma_iova_link", stage: "map", message, values });
}
