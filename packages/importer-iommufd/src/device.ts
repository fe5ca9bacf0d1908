/** A device that is bound to iommufd: its DMA is translated by the IOAS that it is attached to. Linux: `struct iommufd_device`. */
import { type Device, DmaBufError, type ErrnoName, type Op } from "@dma-buf/core";
import { Hwpt } from "./hwpt.js";
import { Ioas } from "./ioas.js";
import { Lock } from "./lock.js";
import type { IommufdObject, ObjectTable } from "./objects.js";
import type { World } from "./world.js";

const OP = "iommufd attach";

/**
 * Made by `Iommufd.bind()`. It is attached to one page table at most. All sleep.
 * @example
 * const bound = iommufd.bind(device);
 * const hwpt = yield* bound.attach(iommufd.createIoas());
 * hwpt.isAuto; // true
 * yield* bound.detach();
 * bound.hwpt; // null
 */
export class IommufdDevice implements IommufdObject {
  readonly kind = "device";
  /** Its fd: userspace cannot destroy it. */
  readonly users = 1;
  readonly device: Device;
  readonly #world: World;
  readonly #objects: ObjectTable;
  readonly #lock: Lock;
  #hwpt: Hwpt | null = null;

  constructor(world: World, objects: ObjectTable, device: Device) {
    this.#world = world;
    this.#objects = objects;
    this.device = device;
    this.#lock = new Lock("iommufd.igroup_lock", world.fw.scheduler);
  }

  /** `null`: its DMA is what it was before iommufd. */
  get hwpt(): Hwpt | null {
    return this.#hwpt;
  }

  /**
   * Attaches: to an IOAS by a page table that others of it share, made if none fits; or to one that was allocated. What the
   * IOAS holds is there before it returns; what could not be mapped without a domain is refused now. Sleeps.
   * @throws DmaBufError at stage `attach`, with nothing left: `EINVAL` it is attached elsewhere, or the table is not for it ·
   * `EADDRINUSE` areas or allowed ranges where the device or the domain reserves, or not aligned · as `IoPagetable.addDomain()`
   */
  *attach(to: Ioas | Hwpt): Op<Hwpt> {
    using _to = this.#objects.hold(to);
    if (to instanceof Hwpt) {
      yield* this.#attachTo(to);
      return to;
    }
    using _mutex = yield* to.mutex.write();
    for (const hwpt of to.hwpts) if (hwpt.isAuto && (yield* this.#fits(this.#attachTo(hwpt)))) return hwpt;
    return yield* this.#attachToNew(to);
  }

  /** From where it is attached to `to`, in one step for the device. @throws DmaBufError as {@link attach}; it is where it was */
  *replace(to: Ioas | Hwpt): Op<Hwpt> {
    using _to = this.#objects.hold(to);
    if (to instanceof Hwpt) {
      yield* this.#replaceWith(to);
      return to;
    }
    using _mutex = yield* to.mutex.write();
    for (const hwpt of to.hwpts) if (hwpt.isAuto && (yield* this.#fits(this.#replaceWith(hwpt)))) return hwpt;
    const hwpt = yield* to.allocHwpt(this.device, true);
    let done = false;
    try {
      yield* this.#replaceWith(hwpt);
      done = true;
      return hwpt;
    } finally {
      if (!done) yield* this.#drop(hwpt);
    }
  }

  /** Nothing to do where it is attached nowhere. */
  *detach(): Op<void> {
    using _lock = yield* this.#lock.write();
    const hwpt = this.#hwpt;
    if (!hwpt) return;
    this.#leave(hwpt);
    this.#world.host.detach(this.device);
    yield* this.#dropUnused(hwpt);
  }

  /** Closed by its user. */
  *destroy(): Op<void> {
    yield* this.detach();
  }

  *#attachTo(hwpt: Hwpt): Op<void> {
    using _lock = yield* this.#lock.write();
    if (this.#hwpt && this.#hwpt !== hwpt)
      throw this.#refused("EINVAL", "is attached elsewhere: replace, or detach first");
    if (this.#hwpt) return;
    this.#enter(hwpt);
  }

  *#replaceWith(hwpt: Hwpt): Op<void> {
    using _lock = yield* this.#lock.write();
    const old = this.#hwpt;
    if (!old) throw this.#refused("EINVAL", "is attached nowhere: attach it");
    if (old === hwpt) return;
    this.#enter(hwpt);
    old.devices.delete(this);
    if (old.ioas !== hwpt.ioas) old.ioas.iopt.space.unreserve(this);
    yield* this.#dropUnused(old);
  }

  *#attachToNew(ioas: Ioas): Op<Hwpt> {
    const hwpt = new Hwpt(ioas, this.#world.host.createDomain(this.device), true);
    let attached = false;
    let done = false;
    try {
      yield* this.#attachTo(hwpt);
      attached = true;
      yield* ioas.iopt.addDomain(hwpt.domain);
      done = true;
    } finally {
      if (attached && !done) {
        this.#leave(hwpt);
        this.#world.host.detach(this.device);
      }
      if (!done) hwpt.domain.destroy();
    }
    ioas.hwpts.add(hwpt);
    this.#objects.add(hwpt);
    return hwpt;
  }

  /** Reserves what is the device's and attaches it, or does nothing. Does not sleep. */
  #enter(hwpt: Hwpt): void {
    const { host } = this.#world;
    const { space } = hwpt.ioas.iopt;
    const isNew = this.#hwpt?.ioas !== hwpt.ioas;
    try {
      if (isNew) for (const { first, last } of host.reservedIovas(this.device)) space.reserve(first, last, this);
      host.attach(this.device, hwpt.domain);
    } catch (error) {
      if (isNew) space.unreserve(this);
      throw error;
    }
    hwpt.devices.add(this);
    this.#hwpt = hwpt;
  }

  #leave(hwpt: Hwpt): void {
    hwpt.devices.delete(this);
    hwpt.ioas.iopt.space.unreserve(this);
    this.#hwpt = null;
  }

  *#dropUnused(hwpt: Hwpt): Op<void> {
    if (hwpt.isAuto && hwpt.devices.size === 0) yield* this.#drop(hwpt);
  }

  *#drop(hwpt: Hwpt): Op<void> {
    this.#objects.remove(hwpt);
    yield* hwpt.destroy();
  }

  /** `false`: the table is not for this device, and another may be. */
  *#fits(attach: Op<void>): Op<boolean> {
    try {
      yield* attach;
      return true;
    } catch (error) {
      if (error instanceof DmaBufError && error.code === "EINVAL" && !this.#isElsewhere(error)) return false;
      throw error;
    }
  }

  #isElsewhere({ values }: DmaBufError): boolean {
    return values["device"] === this;
  }

  #refused(code: ErrnoName, what: string): DmaBufError {
    const values = { device: this };
    return new DmaBufError(code, { op: OP, stage: "attach", message: `${this.device.name} ${what}`, values });
  }
}
