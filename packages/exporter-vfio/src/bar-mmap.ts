/**
 * A CPU mapping of a BAR: pages are filled when they are touched, and emptied when the memory goes. Independent of any
 * dma-buf. Regions that are no BAR of PCI are not here: ROM and config space cannot be mapped, and the memory that
 * nvgrace-gpu shows as a region of its own is not modelled. Linux 7.3: drivers/vfio/pci/vfio_pci_core.c.
 */
import { DmaBufError, type ErrnoName, type Op, PAGE_SIZE, type PfnAnswer, type Vma } from "@dma-buf/core";
import { frameAt, type PhysVec, sizeOf, sliceOf } from "@dma-buf/scatterlist";
import type { VfioHost, VfioRegion } from "./host.js";
import type { MemoryLock } from "./memory-lock.js";
import { BARS, wholePages } from "./validate.js";

/** Leaves that a page table of the CPU has: 1 GiB, 2 MiB, 4 KiB. Linux: `PUD_ORDER`, `PMD_ORDER`. */
const LEAF_ORDERS = [18, 9, 0];

/** The device whose BARs are mapped. */
export interface MmapDevice {
  readonly host: Pick<VfioHost, "name" | "region" | "provider">;
  /** Held for reading while a page is filled: none is in the middle of a revoke. */
  readonly lock: Pick<MemoryLock, "read">;
  /** Is there memory to be mapped? Not with decoding off, in D3hot, or in low power. Asked with the lock held. */
  enabled(): boolean;
  /** Is the device one VM's alone? Then the host has no business in it. Of a `PrivateBinding`. */
  readonly binding: {
    readonly data: { readonly isPrivate: boolean };
    checkMmap(regionIndex: number): void;
  };
}

/**
 * May a CPU map this BAR? It must be memory, begin a page, and have a provider: both want the same of a BAR, and where
 * one is forbidden the other is. (Linux also needs the rest of the page that a smaller BAR begins; it is taken as free.)
 */
export function mmapSupported(host: MmapDevice["host"], regionIndex: number): boolean {
  if (!(regionIndex >= 0 && regionIndex < BARS)) return false;
  const region = host.region(regionIndex);
  return region !== null && host.provider(regionIndex) !== null && region.physical % PAGE_SIZE === 0;
}

/** All mappings of one device's BARs. */
export class BarMmaps {
  readonly #dev: MmapDevice;
  /** Counts zaps: an entry from before one is not there any more. */
  #zaps = 0;

  constructor(dev: MmapDevice) {
    this.#dev = dev;
  }

  /**
   * `mmap()` of the device's fd: gives `vma` its handler. `vma.pgoff` counts from the beginning of the BAR. It succeeds
   * with the memory off: touching it does not.
   * @throws DmaBufError `EINVAL` at stage `mmap`: a region that cannot be mapped, a private mapping, pages beyond the end
   */
  mmap(regionIndex: number, vma: Vma): void {
    const { host } = this.#dev;
    this.#dev.binding.checkMmap(regionIndex);
    if (!mmapSupported(host, regionIndex))
      throw refused("EINVAL", `region ${regionIndex} of ${host.name} cannot be mapped: choose a memory BAR`);
    const whole = wholePages(host.region(regionIndex) as VfioRegion);
    needInside(vma, whole);
    this.fill(vma, [whole]);
  }

  /**
   * Fills `vma` from `vecs`, whole pages of this device, beginning at page `vma.pgoff` of them. The answer's order is
   * that of the largest leaf that lies in the mapping and in one range; the VMA is taken to lie as aligned as the memory
   * does. `also`: what else must hold for a page to be filled.
   * @throws DmaBufError `EINVAL` at stage `mmap`: a private mapping
   */
  fill(vma: Vma, vecs: readonly PhysVec[], also: () => boolean = () => true): void {
    if (vma.isPrivate) throw refused("EINVAL", `a BAR of ${this.#dev.host.name} is mapped MAP_SHARED or not at all`);
    const mapped = sliceOf(vecs, vma.pgoff * PAGE_SIZE, vma.pages * PAGE_SIZE);
    let present = new Set<number>();
    let zaps = this.#zaps;
    vma.fault = (page) => {
      const leaf = leafAt(mapped, page);
      if (zaps !== this.#zaps) present = new Set();
      zaps = this.#zaps;
      const first = page - (leaf.pfn % 2 ** leaf.maxOrder);
      return present.has(first) ? leaf : this.#insert(leaf, also, () => present.add(first));
    };
  }

  /**
   * Empties every mapping: what is touched from now on is filled again, if the memory is there. Hold `memory_lock` for
   * writing. Linux: `unmap_mapping_range()`.
   */
  zap(): void {
    this.#zaps++;
  }

  *#insert(leaf: PfnAnswer, also: () => boolean, add: () => void): Op<PfnAnswer> {
    using _lock = yield* this.#dev.lock.read("a fault in a mapping of its BAR");
    const { host, binding } = this.#dev;
    // A mapping from before the binding is still there, but nothing fills it.
    if (!this.#dev.enabled() || binding.data.isPrivate || !also())
      throw refused(
        "EFAULT",
        `the memory of ${host.name} is off, revoked or private: a CPU that touches it gets SIGBUS`,
      );
    add();
    return leaf;
  }
}

function needInside({ pgoff, pages }: Vma, whole: PhysVec): void {
  const has = sizeOf([whole]) / PAGE_SIZE;
  const inside = [pgoff, pages].every(Number.isSafeInteger) && pgoff >= 0 && pages > 0 && pgoff + pages <= has;
  if (!inside) throw refused("EINVAL", `${pages} pages from ${pgoff} are not in the BAR, which has ${has}: map fewer`);
}

function leafAt(vecs: readonly PhysVec[], page: number): PfnAnswer {
  const frame = frameAt(vecs, page);
  if (!frame) throw refused("EFAULT", `page ${page} is not in the mapping: touch one that is`);
  return { pfn: frame.pfn, maxOrder: LEAF_ORDERS.find((order) => order <= frame.maxOrder) as number };
}

function refused(code: ErrnoName, message: string): DmaBufError {
  return new DmaBufError(code, { op: "vfio_pci_core_mmap", stage: "mmap", message });
}
