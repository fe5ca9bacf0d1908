/** The pages of a guest_memfd: made when they are first wanted, gone when the file drops them and nobody uses them. */
import type { PhysAddr, Stage } from "@dma-buf/core";
import { refuse } from "./refuse.js";

/** Where pages come from. None of it sleeps. */
export interface GuestMemfdHost {
  /** A page of RAM with whatever is in it. @throws DmaBufError `ENOMEM` */
  allocPage(): PhysAddr;
  zeroPage(page: PhysAddr): void;
  freePage(page: PhysAddr): void;
  /** A page that the hardware lost: nobody gets it any more. */
  offlinePage(page: PhysAddr): void;
  /** From now on the page is the guest's alone. Linux: `kvm_arch_gmem_prepare()`; nothing to do where no hardware keeps it so. */
  makePrivate(page: PhysAddr): void;
  /** The page is the host's again. Linux: `kvm_arch_gmem_invalidate()`. */
  makeShared(page: PhysAddr): void;
}

/** A page, held until it is put. */
export interface GmemPage {
  readonly physical: PhysAddr;
  /** log2 of the pages that lie in a row from here; in Linux 7.3 always one page. */
  readonly maxOrder: 0;
  /** Gives the reference back, once. KVM holds none while the guest has the page mapped. */
  put(): void;
}

interface Folio {
  readonly physical: PhysAddr;
  /** Of users; the file's own is `inFile`. */
  refs: number;
  inFile: boolean;
  isZeroed: boolean;
  isPrivate: boolean;
  isPoisoned: boolean;
}

export class GmemPages {
  readonly #host: GuestMemfdHost;
  /** Does who gets a page get it for the guest alone? */
  readonly #prepares: boolean;
  readonly #byIndex = new Map<number, Folio>();

  constructor(host: GuestMemfdHost, prepares: boolean) {
    this.#host = host;
    this.#prepares = prepares;
  }

  get count(): number {
    return this.#byIndex.size;
  }

  /** @throws DmaBufError `EHWPOISON` at `stage`; `ENOMEM` */
  get(index: number, op: string, stage: Stage): GmemPage {
    const folio = this.make(index);
    if (folio.isPoisoned) refuse("EHWPOISON", op, `the hardware lost page ${index}: punch it out`, { index }, stage);
    if (!folio.isZeroed) this.#host.zeroPage(folio.physical);
    folio.isZeroed = true;
    if (this.#prepares && !folio.isPrivate) this.#host.makePrivate(folio.physical);
    folio.isPrivate = this.#prepares;
    folio.refs++;
    let held = true;
    const put = (): void => {
      if (!held) return;
      held = false;
      folio.refs--;
      this.#freeUnused(folio);
    };
    return { physical: folio.physical, maxOrder: 0, put };
  }

  /** The page, made if there is none; not zeroed before it is got. @throws DmaBufError `ENOMEM` */
  make(index: number): Folio {
    const known = this.#byIndex.get(index);
    if (known) return known;
    const physical = this.#host.allocPage();
    const folio = { physical, refs: 0, inFile: true, isZeroed: false, isPrivate: false, isPoisoned: false };
    this.#byIndex.set(index, folio);
    return folio;
  }

  /** Takes pages `[first, end)` out of the file. Those that somebody holds go when they are put. */
  remove(first: number, end: number): void {
    for (const [index, folio] of this.#byIndex) {
      if (index < first || index >= end) continue;
      this.#byIndex.delete(index);
      folio.inFile = false;
      this.#freeUnused(folio);
    }
  }

  /** Nobody gets this page any more, as long as it is in the file. Nothing to do where there is none. */
  poison(index: number): void {
    const folio = this.#byIndex.get(index);
    if (folio) folio.isPoisoned = true;
  }

  #freeUnused(folio: Folio): void {
    if (folio.refs > 0 || folio.inFile) return;
    if (folio.isPrivate) this.#host.makeShared(folio.physical);
    if (folio.isPoisoned) this.#host.offlinePage(folio.physical);
    else this.#host.freePage(folio.physical);
  }
}
