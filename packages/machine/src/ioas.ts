/** An IOMMU domain that userspace fills through IOMMUFD: a table, and the devices that are attached to it. */
import type { Device, Op } from "@dma-buf/core";
import type { PageTable } from "@dma-buf/page-table";
import type { MachineDevice } from "./device.js";
import type { Attached, IommuDomain } from "./iommu/domain.js";
import { FORMAT_OF } from "./iommu/kind.js";
import type { Machine } from "./machine.js";

export class MachineIoas {
  /** IOMMUFD owns it and writes it; attached devices walk it. */
  readonly table: PageTable;
  readonly #machine: Machine;
  readonly #domain: IommuDomain;
  readonly #former = new Map<MachineDevice, Attached>();

  constructor(machine: Machine, name: string) {
    this.#machine = machine;
    this.table = machine.pageTable(name, FORMAT_OF[machine.iommuUnit.kind]);
    this.#domain = machine.iommuUnit.createDomain(name, this.table);
  }

  attachDevice(device: Device): void {
    const own = device as MachineDevice;
    this.#former.set(own, this.#machine.domainOf(own));
    this.#machine.attachDomain(own, this.#domain);
  }

  detachDevice(device: Device): void {
    const own = device as MachineDevice;
    this.#machine.attachDomain(own, this.#former.get(own) ?? "blocked");
    this.#former.delete(own);
  }

  /**
   * Drops what the IOTLB, and then the devices' own TLBs, cached of this domain; returns when they have. Sleeps: the
   * request and the completion are schedule points.
   */
  *flush(): Op<void> {
    yield* this.#machine.iommuUnit.flush(this.#domain);
  }

  destroy(): void {
    this.table.destroy();
  }
}
