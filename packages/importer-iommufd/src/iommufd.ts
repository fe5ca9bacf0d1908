/** One open `/dev/iommu`. Linux: `struct iommufd_ctx`. */
import {
  type Device,
  type DmaBuf,
  DmaBufError,
  type ErrnoName,
  type Framework,
  type Op,
  type Stage,
} from "@dma-buf/core";
import { Access, type AccessOps } from "./access.js";
import { IommufdDevice } from "./device.js";
import type { IommufdHost } from "./host.js";
import { Ioas } from "./ioas.js";
import { ObjectTable } from "./objects.js";
import type { Pages } from "./pages.js";
import type { IommuArgument } from "./uapi.js";
import type { BufferRange, IommufdOptions, ImportBuffer, World } from "./world.js";

/**
 * Its objects have ids, for the ioctls; who calls it directly has the objects.
 * @example
 * const ioas = iommufd.createIoas();
 * const bound = iommufd.bind(device);
 * yield* bound.attach(ioas);
 * iommufd.objects.idOf(bound); // 2
 * yield* iommufd.close();
 */
export class Iommufd {
  readonly name = "iommufd";
  readonly objects: ObjectTable = new ObjectTable();
  /** Are pinned pages booked on the process, and not on the user? `IOMMU_OPTION_RLIMIT_MODE`. Nothing is booked here. */
  accountsProcess = false;
  readonly #world: World;
  readonly #ioases = new Set<Ioas>();
  readonly #devices = new Set<IommufdDevice>();
  readonly #accesses = new Set<Access>();
  #isClosed = false;

  constructor(fw: Framework, host: IommufdHost, importBuffer: ImportBuffer, options: IommufdOptions) {
    const { flush = true, retry = true, revoked = true, mutex = true, fences = true } = options.guards ?? {};
    const guards = { flush, retry, revoked, mutex, fences };
    const checkOpen = (op: string, stage?: Stage): void => this.#checkOpen(op, stage);
    this.#world = { fw, host, options, guards, importBuffer, checkOpen };
  }

  /** An empty IOAS. `IOMMU_IOAS_ALLOC`. @throws DmaBufError `EBADF` at stage `map`: it is closed */
  createIoas(): Ioas {
    this.#checkOpen("IOMMU_IOAS_ALLOC");
    const ioas = new Ioas(this.#world, this.objects);
    this.#ioases.add(ioas);
    this.objects.add(ioas);
    return ioas;
  }

  /**
   * Takes a device from its driver. It has no other user.
   * @throws DmaBufError at stage `attach`: `EBUSY` it is bound here already · `EPERM` it can send other devices' interrupts,
   * and `allowUnsafeInterrupts` is off · `EBADF` it is closed
   */
  bind(device: Device): IommufdDevice {
    this.#checkOpen("iommufd_device_bind", "attach");
    const { host, options } = this.#world;
    for (const { device: other } of this.#devices)
      if (other === device)
        throw refused("EBUSY", "iommufd_device_bind", `${device.name} is bound already: unbind it first`, "attach");
    if (!host.hasIsolatedMsi(device) && !options.allowUnsafeInterrupts)
      throw refused(
        "EPERM",
        "iommufd_device_bind",
        `${device.name} could send interrupts of other devices: allow unsafe interrupts, or use an IOMMU that remaps them`,
        "attach",
      );
    const bound = new IommufdDevice(this.#world, this.objects, device);
    this.#devices.add(bound);
    this.objects.add(bound);
    return bound;
  }

  /** Gives a device back, detached. */
  *unbind(device: IommufdDevice): Op<void> {
    yield* device.detach();
    this.#devices.delete(device);
    this.objects.remove(device);
  }

  /** A user in the kernel, attached to no IOAS yet. @throws DmaBufError `EBADF` at stage `attach`: it is closed */
  createAccess(ops: AccessOps = {}): Access {
    this.#checkOpen("iommufd_access_create", "attach");
    const access = new Access(ops, this.objects);
    this.#accesses.add(access);
    return access;
  }

  /**
   * A buffer, attached and not yet asked where it lies: the first half of MAP_FILE. `Ioas.mapPages()` is the second.
   * The caller has the reference. @throws DmaBufError the exporter's; `EINVAL` beyond the buffer · `EBADF` it is closed
   */
  *attachBuffer(buf: DmaBuf, range: Partial<BufferRange> = {}): Op<Pages> {
    this.#checkOpen("IOMMU_IOAS_MAP_FILE", "attach");
    const whole = { buf, start: 0n, length: BigInt(buf.sizeBytes), isWritable: true };
    return yield* this.#world.importBuffer(this.#world, { ...whole, ...range });
  }

  /**
   * `IOMMU_HWPT_ALLOC`, of a page table that iommufd fills itself.
   * @returns its id
   * @throws DmaBufError `EOPNOTSUPP` reserved fields, flags · `EINVAL` data for no type, or no IOAS · `ENOENT` no device · as
   * `Ioas.allocHwpt()`
   */
  *hwptAlloc(arg: IommuArgument<"HWPT_ALLOC">): Op<number> {
    const op = "IOMMU_HWPT_ALLOC";
    const { flags, reserved, reserved2, dataType, dataLen, devId, ptId } = arg;
    if (reserved !== 0 || reserved2 !== 0 || flags !== 0)
      throw refused("EOPNOTSUPP", op, `flags ${flags} or a reserved field: no driver here nests or tracks dirty pages`);
    if ((dataType === 0) !== (dataLen === 0))
      throw refused("EINVAL", op, `${dataLen} bytes of data of type ${dataType}: give both, or neither`);
    const { device } = this.objects.get<IommufdDevice>(devId, "device", op);
    const ioas = this.#ioasOf(ptId, op);
    if (dataType !== 0) throw refused("EOPNOTSUPP", op, `data of type ${dataType}: no driver here takes any`);
    using _ioas = this.objects.hold(ioas);
    return this.objects.idOf(yield* ioas.allocHwpt(device));
  }

  /**
   * Books the pins on the calling process. `IOMMU_IOAS_CHANGE_PROCESS`.
   * @throws DmaBufError `EINVAL` at stage `map`: something other than a file is mapped
   */
  *changeProcess(): Op<void> {
    for (const { space } of this.objects.ofKind<Ioas>("ioas"))
      for (const { pages, iova } of space.areas)
        if (pages && pages.kind !== "file")
          throw refused(
            "EINVAL",
            "IOMMU_IOAS_CHANGE_PROCESS",
            `0x${iova.toString(16)} shows a ${pages.kind}: only files can change the process`,
          );
  }

  /**
   * The last close of its fd: devices and accesses leave, everything is unmapped. What would take anything in is `EBADF` from
   * then on; giving back goes on: detach, unbind, destroy, another close.
   */
  *close(): Op<void> {
    this.#isClosed = true;
    for (const device of this.#devices) yield* device.detach();
    for (const access of this.#accesses) if (access.ioas) yield* access.detach();
    for (const ioas of this.#ioases) {
      for (const hwpt of ioas.hwpts) yield* hwpt.destroy();
      yield* ioas.destroy();
    }
    this.#ioases.clear();
  }

  #checkOpen(op: string, stage: Stage = "map"): void {
    if (this.#isClosed) throw new DmaBufError("EBADF", { op, stage, message: "the iommufd is closed: open another" });
  }

  #ioasOf(id: number, op: string): Ioas {
    try {
      return this.objects.get<Ioas>(id, "ioas", op);
    } catch {
      throw refused("EINVAL", op, `${id} is no IOAS: give the id of one`);
    }
  }
}

function refused(code: ErrnoName, op: string, message: string, stage: "map" | "attach" = "map"): DmaBufError {
  return new DmaBufError(code, { op, stage, message });
}
