/**
 * A device that belongs to one VM alone, as the RFC of January 2025 has it (patches 8 to 10): the host keeps its hands
 * off the BARs, and an importer can ask whose they are. What hardware does to who comes all the same is the machine's.
 * RFC: a flag of `VFIO_DEVICE_BIND_IOMMUFD`; here it is bound and unbound by itself.
 */
import { type DmaBufAttachment, DmaBufError, type ErrnoName, type Op, type Stage } from "@dma-buf/core";
import { mmapSupported } from "./bar-mmap.js";
import type { VfioHost, VfioRegion } from "./host.js";

/**
 * The key in a buffer's `ops.interfaces` under which an importer finds {@link VfioDmaBufGetData}. A KVM that finds none,
 * or another VM than itself, refuses the memory slot with `EINVAL`: that is its check, not the exporter's.
 * @example
 * VFIO_DMA_BUF_PRIVATE_KVM.description; // "vfio_dma_buf_private_kvm"
 */
export const VFIO_DMA_BUF_PRIVATE_KVM: symbol = Symbol.for("vfio_dma_buf_private_kvm");

/** Whose a buffer is. RFC: `struct vfio_dma_buf_data`. */
export interface VfioDmaBufData {
  readonly isPrivate: boolean;
  /** The VM, by identity; `null` while it is nobody's. */
  readonly kvm: object | null;
}

/** Answers for now. Needs no lock, does not sleep. RFC: `vfio_dma_buf_get_data()`. */
export type VfioDmaBufGetData = () => VfioDmaBufData;

/**
 * What `VFIO_DEVICE_GET_REGION_INFO` says of a region. PRIVATE is the RFC's, and stands alone.
 * @example
 * VFIO_REGION_INFO_FLAG.PRIVATE; // 16
 */
export const VFIO_REGION_INFO_FLAG = { READ: 1, WRITE: 2, MMAP: 4, PRIVATE: 16 } as const;

/** Takes the BARs away from whoever has them, buffers and mappings, and lets who still may ask again. */
export type TakeAway = (why: string) => Op<void>;

/**
 * The binding of one device, made by its exporter.
 * @example
 * const vm = {};
 * yield* exporter.binding.bind(vm);
 * exporter.binding.data; // { isPrivate: true, kvm: vm }
 * exporter.binding.regionFlags(0) === VFIO_REGION_INFO_FLAG.PRIVATE; // true
 */
export class PrivateBinding {
  readonly #host: Pick<VfioHost, "name" | "region" | "provider">;
  readonly #takeAway: TakeAway;
  /** Throws once the device is closed. */
  readonly #needOpen: () => void;
  #kvm: object | null = null;

  constructor(host: Pick<VfioHost, "name" | "region" | "provider">, takeAway: TakeAway, needOpen: () => void) {
    this.#host = host;
    this.#takeAway = takeAway;
    this.#needOpen = needOpen;
  }

  get data(): VfioDmaBufData {
    return { isPrivate: this.#kvm !== null, kvm: this.#kvm };
  }

  /** For a buffer's `ops.interfaces`. */
  get interfaces(): ReadonlyMap<symbol, unknown> {
    const getData: VfioDmaBufGetData = () => this.data;
    return new Map([[VFIO_DMA_BUF_PRIVATE_KVM, getData]]);
  }

  /**
   * Gives the device to `kvm` alone. Nobody new comes in from the first step on; who was there is put out before it
   * returns. Sleeps; hold neither `memory_lock` nor a reservation.
   * @throws DmaBufError at stage `fd`: `EBADF` the device was closed · `EBUSY` it is bound · `EINVAL` no VM
   */
  *bind(kvm: object): Op<void> {
    this.#needOpen();
    if (typeof kvm !== "object" || kvm === null)
      throw refused("EINVAL", "fd", `${String(kvm)} is no VM: give the object that stands for it`);
    if (this.#kvm) throw refused("EBUSY", "fd", `${this.#host.name} is bound to a VM already: unbind it first`);
    this.#kvm = kvm;
    let done = false;
    try {
      yield* this.#takeAway("private binding");
      done = true;
    } finally {
      if (!done) this.#kvm = null;
    }
  }

  /** Takes it from its VM, whose mappings go first. Nothing to do where it is nobody's. Also after the close. Sleeps as {@link bind}. */
  *unbind(): Op<void> {
    if (!this.#kvm) return;
    yield* this.#takeAway("private unbinding");
    this.#kvm = null;
  }

  /**
   * Region info of a BAR: a combination of {@link VFIO_REGION_INFO_FLAG}. 0 for one that is not there. What else Linux
   * says, that a BAR holds the MSI-X table, is not modelled.
   */
  regionFlags(regionIndex: number): number {
    const { READ, WRITE, MMAP, PRIVATE } = VFIO_REGION_INFO_FLAG;
    if (!this.#host.region(regionIndex)) return 0;
    if (!mmapSupported(this.#host, regionIndex)) return READ | WRITE;
    return this.#kvm ? PRIVATE : READ | WRITE | MMAP;
  }

  /**
   * Before the host maps a region. The RFC refuses it to read and to write too, which nobody can do here.
   * @throws DmaBufError `EINVAL` at stage `mmap`: it is private
   */
  checkMmap(regionIndex: number): void {
    if (!this.#kvm) return;
    throw refused(
      "EINVAL",
      "mmap",
      `no mmap of region ${regionIndex}: ${this.#host.name} is private to a VM, import its dma-buf into that`,
    );
  }

  /**
   * Before an importer is served: a device would come with requests that nobody trusts. The RFC does not ask.
   * @throws DmaBufError `EOPNOTSUPP` at `stage`
   */
  checkDevice(at: Pick<DmaBufAttachment, "device" | "importerName">, stage: "attach" | "map" | "query"): void {
    if (this.#kvm && at.device)
      throw refused(
        "EOPNOTSUPP",
        stage,
        `${this.#host.name} is private to a VM, and ${at.importerName} comes with ${at.device.name}: unbind it first`,
      );
  }

  /**
   * Before a private BAR is exported once more: two buffers of the same bytes could go to two importers. `exported`: what
   * is out already. Whatever was posted or merged does not look.
   * @throws DmaBufError `EBUSY` at stage `export`
   */
  checkExport(vecs: readonly VfioRegion[], exported: Iterable<{ readonly vecs: readonly VfioRegion[] }>): void {
    if (!this.#kvm) return;
    for (const other of exported)
      if (overlap(vecs, other.vecs))
        throw refused(
          "EBUSY",
          "export",
          `a part of it is exported already, and ${this.#host.name} is private to a VM: use that buffer`,
        );
  }
}

function overlap(a: readonly VfioRegion[], b: readonly VfioRegion[]): boolean {
  return a.some((x) => b.some((y) => x.physical < y.physical + y.sizeBytes && y.physical < x.physical + x.sizeBytes));
}

function refused(code: ErrnoName, stage: Stage, message: string): DmaBufError {
  return new DmaBufError(code, { op: "vfio-pci private binding", stage, message });
}
