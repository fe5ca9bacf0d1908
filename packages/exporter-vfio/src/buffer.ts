/** One exported buffer, as its operations see it. Linux: `struct vfio_pci_dma_buf`. */
import type { Attributes, DmaBuf, DmaBufAttachment, Framework, P2pProvider, SgTable, Stage } from "@dma-buf/core";
import type { PhysVec } from "@dma-buf/scatterlist";
import type { BarMmaps } from "./bar-mmap.js";
import type { VfioHost } from "./host.js";
import type { PrivateBinding } from "./private.js";
import { refuse } from "./refuse.js";

/** Whose BAR it is. */
export interface Owner {
  readonly fw: Framework;
  readonly host: VfioHost;
  readonly asPosted: boolean;
  readonly binding: PrivateBinding;
  readonly mmaps: BarMmaps;
  readonly memory: Attributes;
  readonly tagsOwner: boolean;
  /** Entry arrays of tables, of all buffers of the device: made and not freed. */
  readonly tables: { made: number };
}

export class VfioDmaBuf {
  readonly owner: Owner;
  readonly regionIndex: number;
  /** In the order of the buffer's bytes, all in that BAR. */
  readonly vecs: readonly PhysVec[];
  readonly provider: P2pProvider;
  /** Set by the engine as soon as the core made it. */
  buf!: DmaBuf;
  /** Changes with the reservation held. */
  revoked = true;
  /** Linux counts them in a kref; here each knows its importer, for a wait that nobody ends. */
  readonly #maps = new Map<SgTable, string>();

  constructor(owner: Owner, regionIndex: number, vecs: readonly PhysVec[], provider: P2pProvider) {
    this.owner = owner;
    this.regionIndex = regionIndex;
    this.vecs = vecs;
    this.provider = provider;
  }

  /** Importers that hold a mapping, once for each. */
  get mappedBy(): readonly string[] {
    return [...this.#maps.values()];
  }

  /** What an annotated address says of the memory now. */
  get attributes(): Attributes {
    const { memory, tagsOwner, binding } = this.owner;
    const { kvm } = binding.data;
    return tagsOwner && kvm ? { ...memory, owner: kvm } : memory;
  }

  mapped(table: SgTable, importerName: string): void {
    this.#maps.set(table, importerName);
  }

  unmapped(table: SgTable): void {
    this.#maps.delete(table);
  }

  /**
   * Code that was posted or merged knows no device that belongs to one VM, or does not ask.
   * @throws DmaBufError `EOPNOTSUPP` it belongs to one, and the importer comes with a device.
   */
  checkShared(at: DmaBufAttachment, stage: "attach" | "map" | "query"): void {
    if (!this.owner.asPosted) this.owner.binding.checkDevice(at, stage);
  }

  /** @throws DmaBufError `ENODEV` while revoked. */
  checkNotRevoked(stage: Stage): void {
    if (this.revoked)
      refuse("ENODEV", stage, `${this.owner.host.name} has revoked the buffer: ask again when its memory is back`);
  }
}
