/** What IOMMUFD has of the modelled machine: its IOMMU, its memory, and the process that opened it. */
import type { Device } from "@dma-buf/core";
import type { Format } from "@dma-buf/page-table";
import type { MachineDevice } from "./device.js";
import { FORMAT_OF } from "./iommu/kind.js";
import { MachineDomain } from "./iommufd-domain.js";
import type { Machine } from "./machine.js";
import type { Memfd } from "./memfd-file.js";
import type { OtherFile } from "./memfd.js";
import type { PhysicalMemory } from "./physical.js";
import { UserMappings } from "./user-mappings.js";

/** What else it is made of. `F`: other kinds of file than this package has, such as a dma-buf. */
export interface MachineIommufdOptions<F = never> {
  /** The process's mappings. @defaultValue it has none */
  readonly user?: UserMappings;
  /** What is open in the process: `memfds.file`, or more than that. @defaultValue nothing */
  readonly file?: (fd: number) => F | Memfd | OtherFile | null;
  /** The format of new domains, one that the unit walks. @defaultValue the unit's */
  readonly format?: Format;
  /** Does the IOMMU remap interrupts? @defaultValue true */
  readonly isolatedMsi?: boolean;
}

/**
 * @example
 * const host = new MachineIommufd(machine, { file: (fd) => memfds.file(fd) });
 * const domain = host.createDomain(device);
 * host.attach(device, domain);
 */
export class MachineIommufd<F = never> {
  readonly memory: PhysicalMemory;
  readonly user: UserMappings;
  readonly #machine: Machine;
  readonly #options: MachineIommufdOptions<F>;
  #domains = 0;

  constructor(machine: Machine, options: MachineIommufdOptions<F> = {}) {
    this.#machine = machine;
    this.#options = options;
    this.memory = machine.memory;
    this.user = options.user ?? new UserMappings();
    machine.resources.register("lockedPages", () => this.user.lockedPages);
  }

  file(fd: number): F | Memfd | OtherFile | null {
    return this.#options.file?.(fd) ?? null;
  }

  hasIsolatedMsi(_device: Device): boolean {
    return this.#options.isolatedMsi ?? true;
  }

  /** An empty domain. @throws DmaBufError `ENOMEM` no table left */
  createDomain(_device: Device): MachineDomain {
    const { kind } = this.#machine.iommuUnit;
    return new MachineDomain(this.#machine, `domain ${++this.#domains}`, this.#options.format ?? FORMAT_OF[kind]);
  }

  /** From whatever domain the device is in. @throws DmaBufError as {@link MachineDomain.attachDevice} */
  attach(device: Device, domain: MachineDomain): void {
    domain.attachDevice(device);
  }

  /** Into its default domain. */
  detach(device: Device): void {
    const own = device as MachineDevice;
    this.#machine.attachDomain(own, this.#machine.iommuUnit.defaultOf(own.fn));
  }

  /** Linux: `iommu_get_group_resv_regions()`, without the windows of bridges, which only the DMA API keeps free. */
  reservedIovas(device: Device): readonly { readonly first: bigint; readonly last: bigint }[] {
    return this.#machine
      .reservedRegions(device as MachineDevice)
      .filter(({ kind }) => kind !== "window")
      .map(({ base, sizeBytes }) => ({ first: BigInt(base), last: BigInt(base) + BigInt(sizeBytes) - 1n }));
  }
}
