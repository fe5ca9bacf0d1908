/** An IOMMU domain that IOMMUFD fills, behind whatever unit there is: a table, and the devices that are attached to it. */
import { type Device, DmaBufError, type Op, type TableMemory } from "@dma-buf/core";
import type { Format, PageTable } from "@dma-buf/page-table";
import type { MachineDevice } from "./device.js";
import type { IommuDomain } from "./iommu/domain.js";
import { FORMAT_OF } from "./iommu/kind.js";
import type { Machine } from "./machine.js";

export class MachineDomain {
  readonly name: string;
  /** IOMMUFD owns it and writes it; attached devices walk it. */
  readonly table: PageTable;
  /** Where {@link table} has its tables. */
  readonly memory: TableMemory;
  /** The IOVAs that it translates, both included. Linux: `geometry`. */
  readonly apertureFirst = 0n;
  readonly apertureLast: bigint;
  /** Bytes. */
  readonly pageBytesMin = 4096;
  readonly #machine: Machine;
  readonly #domain: IommuDomain;
  #isDestroyed = false;

  /** `format`: one that the unit walks. @defaultValue the unit's */
  constructor(machine: Machine, name: string, format: Format = FORMAT_OF[machine.iommuUnit.kind]) {
    this.name = name;
    this.#machine = machine;
    this.memory = machine.memory.tables;
    this.table = machine.iommuTable(name, format);
    this.apertureLast = 2n ** BigInt(format.vaBits) - 1n;
    this.#domain = machine.iommuUnit.createDomain(name, this.table);
    machine.resources.registerAll(() => ({ attached: this.#attached, ioasBytes: this.#mappedBytes }));
  }

  /**
   * Takes a device out of the domain it is in, another of IOMMUFD's too.
   * @throws DmaBufError `EBUSY` it is in this one, or blocked for a reset · `EINVAL` the domain was destroyed
   */
  attachDevice(device: Device): void {
    const own = device as MachineDevice;
    const op = "iommufd_device_attach";
    if (this.#isDestroyed) throw this.#refused("EINVAL", op, "was destroyed: attach to another");
    if (this.#has(own)) throw this.#refused("EBUSY", op, `has ${own.name} already: attach it once`);
    this.#machine.attachDomain(own, this.#domain);
  }

  /** The device is in its default domain then. @throws DmaBufError `EINVAL` it is not in this domain */
  detachDevice(device: Device): void {
    const own = device as MachineDevice;
    if (!this.#has(own))
      throw this.#refused("EINVAL", "iommufd_device_detach", `has no ${own.name}: detach it where it is`);
    this.#machine.attachDomain(own, this.#machine.iommuUnit.defaultOf(own.fn));
  }

  /**
   * Drops what the IOTLB, and then the devices' own TLBs, cached of this domain; returns when they have. Sleeps: the
   * request and the completion are schedule points.
   */
  *flush(): Op<void> {
    yield* this.#machine.iommuUnit.flush(this.#domain);
  }

  /** Nothing is cached of it then. @throws DmaBufError `EBUSY` a device is attached · `EINVAL` it was destroyed before */
  destroy(): void {
    if (this.#attached > 0)
      throw this.#refused("EBUSY", "iommufd_object_remove", `has ${this.#attached} devices: detach them first`);
    this.#machine.iommuUnit.forget(this.#domain);
    this.table.destroy();
    this.#isDestroyed = true;
  }

  get #attached(): number {
    return this.#machine.iommuUnit.attachedCount(this.#domain);
  }

  get #mappedBytes(): number {
    let sum = 0;
    if (!this.#isDestroyed) for (const { sizeBytes } of this.table.leaves()) sum += sizeBytes;
    return sum;
  }

  #has(device: MachineDevice): boolean {
    return this.#machine.domainOf(device) === this.#domain;
  }

  #refused(code: "EINVAL" | "EBUSY", op: string, why: string): DmaBufError {
    const { name } = this.#domain;
    return new DmaBufError(code, { op, stage: "attach", message: `${name} ${why}`, values: { domain: name } });
  }
}
