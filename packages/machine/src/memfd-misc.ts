/** A misc device: a `struct device` of the kernel's own that does no DMA, for drivers that sync memory without a device. */
import type { AccessResult, Device, Op } from "@dma-buf/core";
import type { CpuCache } from "./cpu-cache.js";
import { DirectDma } from "./dma/direct.js";

/** It reaches all memory as it is: a 64-bit mask, no IOMMU, nothing bounces. */
export class MiscDevice implements Device {
  readonly name: string;
  readonly dma: DirectDma;
  readonly spaces: readonly never[] = [];

  /** @param cache of the CPUs, where devices do not look into them: a sync is for that */
  constructor(name: string, cache: CpuCache | null = null) {
    this.name = name;
    this.dma = new DirectDma(name, { maskBits: 64, end: Infinity }, null, 0, cache);
  }

  write(): Op<AccessResult> {
    return this.#none();
  }

  read(): Op<AccessResult> {
    return this.#none();
  }

  // oxlint-disable-next-line require-yield -- an Op that never sleeps
  *#none(): Op<AccessResult> {
    return { kind: "lost", reason: `${this.name} is a misc device and does no DMA` };
  }
}
