/** dma-direct: no IOMMU, or an identity domain. The DMA address is the CPU-physical address, or that of a bounce buffer. */
import { DmaBufError, type Direction, type DmaAddr, type DmaMapAttributes, hex, type PhysAddr } from "@dma-buf/core";
import type { CpuCache } from "../cpu-cache.js";
import type { DeviceDma } from "./device-dma.js";
import { checkMapped, LiveMappings } from "./mappings.js";
import { BOUNCE_MAX_BYTES, type Swiotlb } from "./swiotlb.js";

/** Where a device's requests get. */
export interface Reach {
  /** Address bits that it drives. */
  readonly maskBits: number;
  /** By mask and bus; open. */
  readonly end: number;
}

/** It knows RAM's bus mapping and no BAR's bus offset. */
export class DirectDma implements DeviceDma {
  readonly #device: string;
  readonly #reach: Reach;
  readonly #swiotlb: Swiotlb | null;
  readonly #ramEnd: number;
  readonly #cache: CpuCache | null;
  readonly #mappings = new LiveMappings();

  /**
   * @param swiotlb `null`: there is none, and what the mask does not reach is refused
   * @param ramEnd open: a mask that reaches it bounces no RAM
   * @param cache those of the CPUs, where devices do not look into them
   */
  constructor(device: string, reach: Reach, swiotlb: Swiotlb | null, ramEnd: number, cache: CpuCache | null = null) {
    this.#cache = cache;
    this.#device = device;
    this.#reach = reach;
    this.#swiotlb = swiotlb;
    this.#ramEnd = ramEnd;
  }

  /**
   * @throws DmaBufError `EINVAL` no byte, or too large for a bounce buffer · `ENOMEM` beyond the mask, and device memory
   * or no bounce buffer · `EIO` beyond the mask, and must not bounce
   */
  mapPhys(physical: PhysAddr, sizeBytes: number, direction: Direction, attributes: DmaMapAttributes): DmaAddr {
    checkMapped(physical, sizeBytes);
    const slot = this.#isReached(physical, sizeBytes)
      ? null
      : this.#bounced(physical, sizeBytes, direction, attributes);
    const address = slot ?? physical;
    this.#mappings.add({ address, sizeBytes, slot });
    return address as number as DmaAddr;
  }

  /** @throws DmaBufError `EINVAL` this is not what was mapped; nothing changed */
  unmapPhys(address: DmaAddr, sizeBytes: number, attributes?: DmaMapAttributes): void {
    const { slot } = this.#mappings.take(address, sizeBytes);
    if (slot !== null) this.#swiotlb?.unmap(slot, attributes?.skipCpuSync ?? false);
  }

  syncForCpu(address: DmaAddr, sizeBytes: number): void {
    this.#swiotlb?.syncForCpu(physOf(address), sizeBytes);
    this.#cache?.invalidate(address, sizeBytes);
  }

  syncForDevice(address: DmaAddr, sizeBytes: number): void {
    this.#cache?.clean(address, sizeBytes);
    this.#swiotlb?.syncForDevice(physOf(address), sizeBytes);
  }

  get maxMappingBytes(): number {
    return this.#swiotlb && !this.#isReached(0, this.#ramEnd) ? BOUNCE_MAX_BYTES : Infinity;
  }

  tryAllocIova(): null {
    return null;
  }

  get maskBits(): number {
    return this.#reach.maskBits;
  }

  get live(): number {
    return this.#mappings.live;
  }

  get #limit(): string {
    const { maskBits, end } = this.#reach;
    return end < 2 ** maskBits
      ? `bus limit ${hex(end)} of ${this.#device}`
      : `${maskBits}-bit DMA mask of ${this.#device}`;
  }

  #isReached(physical: number, sizeBytes: number): boolean {
    return physical + sizeBytes <= this.#reach.end;
  }

  #bounced(physical: PhysAddr, sizeBytes: number, direction: Direction, attributes: DmaMapAttributes): PhysAddr {
    const refused = (why: string, code?: "EIO"): DmaBufError => this.#refused(physical, sizeBytes, why, code);
    if (attributes.mmio) throw refused("MMIO is never bounced: use a device with a wider mask");
    if (attributes.requireCoherent) throw refused("it must be coherent, and a bounce buffer is not", "EIO");
    const pool = this.#swiotlb;
    if (!pool) throw refused("there is no bounce buffer: map memory further down");
    if (!this.#isReached(pool.base, pool.sizeBytes))
      throw refused(`so are the bounce buffers at ${hex(pool.base)}: map memory further down`);
    return pool.map(physical, sizeBytes, direction);
  }

  #refused(physical: PhysAddr, sizeBytes: number, why: string, code: "ENOMEM" | "EIO" = "ENOMEM"): DmaBufError {
    return new DmaBufError(code, {
      op: "dma_map_phys",
      stage: "map",
      message: `${hex(physical)} is beyond the ${this.#limit}: ${why}`,
      values: { physical, sizeBytes, maskBits: this.maskBits },
    });
  }
}

function physOf(address: DmaAddr): PhysAddr {
  return address as number as PhysAddr;
}
