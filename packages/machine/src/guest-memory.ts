/** Where a guest_memfd's pages come from: a part of RAM, page by page, and what keeps the host out of a private one. */
import { addr, DmaBufError, hex, PAGE_SIZE, type PhysAddr } from "@dma-buf/core";
import type { Machine } from "./machine.js";
import { POISON_BYTE } from "./memfd-frames.js";
import type { RamRange } from "./physical.js";
import type { PrivateRange } from "./private.js";

export interface GuestMemoryOptions {
  /** Pages of which part of RAM. They hold what their last owner left, at first `0xaa`. */
  readonly ram: RamRange;
  /** Keeps the hardware everybody but this VM out of private pages? Its name; `null`: nothing does. @defaultValue null */
  readonly confidentialTo?: string | null;
}

/**
 * The pages of one VM's guest_memfds. Whose pages are out, `machine.resources` counts: `guestPages`.
 * @throws RangeError for RAM that is no whole pages
 */
export class GuestMemory {
  readonly #machine: Machine;
  readonly #confidentialTo: string | null;
  /** The one that was given back last is handed out first: dirty pages are used again at once. */
  readonly #free: PhysAddr[] = [];
  readonly #private = new Map<PhysAddr, PrivateRange>();
  readonly #out = new Set<PhysAddr>();

  constructor(machine: Machine, { ram: { base, sizeBytes }, confidentialTo = null }: GuestMemoryOptions) {
    if (base % PAGE_SIZE !== 0 || sizeBytes % PAGE_SIZE !== 0)
      throw new RangeError(`${base} and ${sizeBytes} bytes are no whole pages: align both to ${PAGE_SIZE}`);
    this.#machine = machine;
    this.#confidentialTo = confidentialTo;
    for (let at = sizeBytes - PAGE_SIZE; at >= 0; at -= PAGE_SIZE) {
      const page = addr<PhysAddr>(base + at);
      machine.memory.write(page, new Uint8Array(PAGE_SIZE).fill(POISON_BYTE));
      this.#free.push(page);
    }
    machine.resources.register("guestPages", () => this.#out.size);
  }

  /** Pages that nobody has. */
  get freePages(): number {
    return this.#free.length;
  }

  /** A page with whatever is in it. @throws DmaBufError `ENOMEM` at stage `memslot` */
  allocPage(): PhysAddr {
    const page = this.#free.pop();
    if (page === undefined)
      throw new DmaBufError("ENOMEM", {
        op: "kvm_gmem_get_folio",
        stage: "memslot",
        message: "no page of RAM is left for guests: close a guest_memfd, or punch a hole",
        values: { live: this.#out.size },
      });
    this.#out.add(page);
    return page;
  }

  zeroPage(page: PhysAddr): void {
    this.#machine.memory.write(page, new Uint8Array(PAGE_SIZE));
  }

  /** @throws RangeError for a page that is not out: it was given back before */
  freePage(page: PhysAddr): void {
    this.#takeBack(page);
    this.#free.push(page);
  }

  /** A page that is broken: nobody gets it again. */
  offlinePage(page: PhysAddr): void {
    this.#takeBack(page);
    this.makeShared(page);
  }

  /** From now on only the VM's vCPUs reach the page, where the hardware sees to it. */
  makePrivate(page: PhysAddr): void {
    const owner = this.#confidentialTo;
    if (owner !== null) this.#private.set(page, this.#machine.private.add({ base: page, sizeBytes: PAGE_SIZE, owner }));
  }

  /** The host's again. Its bytes are lost to the guest: hardware encrypts, so the host reads no plain text. */
  makeShared(page: PhysAddr): void {
    const range = this.#private.get(page);
    if (!range) return;
    this.#private.delete(page);
    this.#machine.memory.write(page, new Uint8Array(PAGE_SIZE).fill(POISON_BYTE));
    this.#machine.private.remove(range);
  }

  #takeBack(page: PhysAddr): void {
    if (!this.#out.delete(page))
      throw new RangeError(`page ${hex(page)} is not out: give back once what was handed out`);
  }
}
