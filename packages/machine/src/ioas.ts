/** An IOMMU domain that userspace fills through IOMMUFD: a table, and the devices that are attached to it. */
import { type Device, point, type Op } from "@dma-buf/core";
import { type PageTable, vtdSecondStage } from "@dma-buf/page-table";
import type { MachineDevice } from "./device.js";
import type { TranslatedSpace } from "./domain.js";
import type { Machine } from "./machine.js";

export class MachineIoas {
  /** IOMMUFD owns it and writes it; attached devices walk it. */
  readonly table: PageTable;
  readonly #machine: Machine;
  readonly #space: TranslatedSpace;
  readonly #former = new Map<MachineDevice, TranslatedSpace | null>();

  constructor(machine: Machine, name: string) {
    this.#machine = machine;
    this.table = machine.pageTable(name, vtdSecondStage);
    this.#space = machine.space(name, vtdSecondStage, this.table);
  }

  attachDevice(device: Device): void {
    const own = device as MachineDevice;
    this.#former.set(own, this.#machine.domainOf(own));
    this.#machine.attachDomain(own, this.#space);
  }

  detachDevice(device: Device): void {
    const own = device as MachineDevice;
    this.#machine.attachDomain(own, this.#former.get(own) ?? null);
    this.#former.delete(own);
  }

  /** Drops what the IOTLB cached of this domain; returns when it has. */
  *flush(): Op<void> {
    yield* point("iotlb.flush");
    this.#space.flush();
  }

  destroy(): void {
    this.table.destroy();
  }
}
