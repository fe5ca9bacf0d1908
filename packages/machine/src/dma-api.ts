/** The DMA API of one device in its default domain: direct (no IOMMU, or identity), or translated. */
import {
  DmaBufError,
  type Direction,
  type DmaAddr,
  type DmaApi,
  type DmaMapAttributes,
  hex,
  type Iova,
  type PhysAddr,
} from "@dma-buf/core";
import type { PageTable } from "@dma-buf/page-table";
import type { TranslatedSpace } from "./domain.js";
import type { IovaAllocator } from "./iova.js";

/** dma-direct: the DMA address is the CPU-physical address. It knows RAM's bus mapping and no BAR's bus offset. */
export class DirectDma implements DmaApi {
  readonly #device: string;
  readonly #maskBits: number;
  #live = 0;

  constructor(device: string, maskBits: number) {
    this.#device = device;
    this.#maskBits = maskBits;
  }

  mapPhys(physical: PhysAddr, sizeBytes: number, _direction: Direction, _attributes: DmaMapAttributes): DmaAddr {
    if (physical + sizeBytes > 2 ** this.#maskBits)
      throw new DmaBufError("ENOMEM", {
        op: "dma_map_phys",
        stage: "map",
        message: `${hex(physical)} is beyond the ${this.#maskBits}-bit DMA mask of ${this.#device}: MMIO is never bounced`,
        values: { physical, sizeBytes },
      });
    this.#live++;
    return physical as number as DmaAddr;
  }

  unmapPhys(): void {
    this.#live--;
  }

  get live(): number {
    return this.#live;
  }
}

/** dma-iommu: an IOVA of the device's own domain, written into the table that the IOMMU walks. Strict: unmap flushes. */
export class IommuDma implements DmaApi {
  readonly #table: PageTable;
  readonly #space: TranslatedSpace;
  readonly #iovas: IovaAllocator;

  constructor(table: PageTable, space: TranslatedSpace, iovas: IovaAllocator) {
    this.#table = table;
    this.#space = space;
    this.#iovas = iovas;
  }

  mapPhys(physical: PhysAddr, sizeBytes: number, direction: Direction, _attributes: DmaMapAttributes): DmaAddr {
    const iova = this.#iovas.alloc(sizeBytes);
    try {
      this.#table.map(iova, physical, sizeBytes, {
        read: direction !== "from-device",
        write: direction !== "to-device",
      });
    } catch (error) {
      this.#iovas.free(iova);
      throw error;
    }
    return iova as number as DmaAddr;
  }

  unmapPhys(address: DmaAddr, sizeBytes: number): void {
    const iova = address as number as Iova;
    this.#table.unmap(iova, sizeBytes);
    this.#space.flush();
    this.#iovas.free(iova);
  }

  get live(): number {
    return this.#iovas.live;
  }
}
