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
  /** Held while it is attached or detached. Linux: `dev_set->lock`, by VFIO. */
  readonly #lock: Lock;
  #hwpt: Hwpt | null = null;

  constructor(world: World, objects: ObjectTable, device: Device) {
    this.#world = world;
    this.#objects = objects;
    this.device = device;
    this.#lock = new Lock("vfio.dev_set_lock", world.fw.scheduler);
  }

  /** `null`: its DMA is what it was before iommufd. */
  get hwpt(): Hwpt | null {
    return this.#hwpt;
  }

  /**
   * Attaches: to an IOAS by a page table that others of it share, made if none fits; or to one that was allocated. What the
   * IOAS holds is there before it returns; what could not be mapped without a domain is refused now. Sleeps.
   * @throws DmaBufError at stage `attach`, with nothing left: `EINVAL` it is attached elsewhere, or the table is not for it ·
   * `ENOENT` the table went meanwhile · `ENODEV` the device did · `EBADF` the iommufd is closed · `EADDRINUSE` areas or allowed ranges where the device or the domain reserves, or not
   * aligned · what keeps an area from being filled: `EFAULT`, `ENOMEM`, `EINVAL`
   */
  *attach(to: Ioas | Hwpt): Op<Hwpt> {
    using _to = this.#objects.hold(to);
    using _lock = yield* this.#lock.write();
    if (this.#objects.idOf(this) === 0) throw this.#refused("ENODEV", "was unbound meanwhile");
    if (this.#isAt(to)) return this.#hwpt as Hwpt;
    if (this.#hwpt) throw this.#refused("EINVAL", "is attached elsewhere: replace, or detach first");
    return yield* this.#moveTo(to, (ioas) => this.#attachToNew(ioas));
  }

  /** From where it is attached to `to`, in one step for the device. @throws DmaBufError as {@link attach}; it is where it was */
  *replace(to: Ioas | Hwpt): Op<Hwpt> {
    using _to = this.#objects.hold(to);
    using _lock = yield* this.#lock.write();
    const old = this.#hwpt;
    if (!old) throw this.#refused("EINVAL", "is attached nowhere: attach it");
    if (this.#isAt(to)) return old;
    const hwpt = yield* this.#moveTo(to, (ioas) => this.#replaceWithNew(ioas));
    yield* this.#dropUnused(old);
    return hwpt;
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

  #isAt(to: Ioas | Hwpt): boolean {
    return this.#hwpt === to || (this.#hwpt?.isAuto === true && this.#hwpt.ioas === to);
  }

  /** A table that is found is entered in the same step: it cannot go in between. */
  *#moveTo(to: Ioas | Hwpt, make: (ioas: Ioas) => Op<Hwpt>): Op<Hwpt> {
    if (to instanceof Hwpt) {
      if (!to.ioas.hwpts.has(to)) throw this.#refused("ENOENT", "comes to a page table that went with its last device");
      this.#enter(to);
      return to;
    }
    using _mutex = yield* to.mutex.write();
    for (const hwpt of to.hwpts) if (hwpt.isAuto && this.#fits(hwpt)) return hwpt;
    return yield* make(to);
  }

  /** Attached before the areas are there, since a driver may look at its devices before it writes. */
  *#attachToNew(ioas: Ioas): Op<Hwpt> {
    const hwpt = new Hwpt(ioas, this.#world.host.createDomain(this.device), true);
    let done = false;
    try {
      this.#enter(hwpt);
      yield* ioas.iopt.addDomain(hwpt.domain);
      done = true;
    } finally {
      if (!done) this.#undo(hwpt);
    }
    ioas.hwpts.add(hwpt);
    this.#objects.add(hwpt);
    return hwpt;
  }

  *#replaceWithNew(ioas: Ioas): Op<Hwpt> {
    const hwpt = yield* ioas.allocHwpt(this.device, true);
    let done = false;
    try {
      this.#enter(hwpt);
      done = true;
    } finally {
      if (!done) yield* this.#drop(hwpt);
    }
    return hwpt;
  }

  /** Enters it, unless the table is not for this device, and another may be. */
  #fits(hwpt: Hwpt): boolean {
    try {
      this.#enter(hwpt);
      return true;
    } catch (error) {
      if (error instanceof DmaBufError && error.code === "EINVAL") return false;
      throw error;
    }
  }

  /** Reserves what is the device's, attaches it and leaves where it was, or does nothing. Does not sleep. */
  #enter(hwpt: Hwpt): void {
    const { host } = this.#world;
    const { space } = hwpt.ioas.iopt;
    const old = this.#hwpt;
    const isNew = old?.ioas !== hwpt.ioas;
    try {
      if (isNew) for (const { first, last } of host.reservedIovas(this.device)) space.reserve(first, last, this);
      host.attach(this.device, hwpt.domain);
    } catch (error) {
      if (isNew) space.unreserve(this);
      throw error;
    }
    old?.devices.delete(this);
    if (old && isNew) old.ioas.iopt.space.unreserve(this);
    hwpt.devices.add(this);
    this.#hwpt = hwpt;
  }

  #leave(hwpt: Hwpt): void {
    hwpt.devices.delete(this);
    hwpt.ioas.iopt.space.unreserve(this);
    this.#hwpt = null;
  }

  #undo(hwpt: Hwpt): void {
    if (this.#hwpt) {
      this.#leave(hwpt);
      this.#world.host.detach(this.device);
    }
    hwpt.domain.destroy();
  }

  *#dropUnused(hwpt: Hwpt): Op<void> {
    if (hwpt.isAuto && hwpt.devices.size === 0) yield* this.#drop(hwpt);
  }

  *#drop(hwpt: Hwpt): Op<void> {
    this.#objects.remove(hwpt);
    yield* hwpt.destroy();
  }

  #refused(code: ErrnoName, what: string): DmaBufError {
    return new DmaBufError(code, { op: OP, stage: "attach", message: `${this.device.name} ${what}` });
  }
}
