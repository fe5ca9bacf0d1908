/** A hardware page table: one domain, filled with the areas of one IOAS. Linux: `struct iommufd_hwpt_paging`. */
import type { Op } from "@dma-buf/core";
import type { IommufdDevice } from "./device.js";
import type { IommufdDomain } from "./host.js";
import type { Ioas } from "./ioas.js";
import type { IommufdObject } from "./objects.js";

/**
 * Made by an attach, or by `Ioas.allocHwpt()`; goes with its last device, or by `IOMMU_DESTROY`.
 * @example
 * const ioas = iommufd.createIoas();
 * const hwpt = yield* ioas.allocHwpt(device);
 * hwpt.users; // 0
 */
export class Hwpt implements IommufdObject {
  readonly kind = "hwpt";
  readonly ioas: Ioas;
  readonly domain: IommufdDomain;
  /** Made by an attach to the IOAS: it goes with its last device. */
  readonly isAuto: boolean;
  readonly devices: Set<IommufdDevice> = new Set();

  constructor(ioas: Ioas, domain: IommufdDomain, isAuto: boolean) {
    this.ioas = ioas;
    this.domain = domain;
    this.isAuto = isAuto;
  }

  get users(): number {
    return this.devices.size;
  }

  /** Empties the table. No device may be attached. */
  *destroy(): Op<void> {
    this.ioas.hwpts.delete(this);
    yield* this.ioas.iopt.removeDomain(this.domain);
    this.domain.destroy();
  }
}
