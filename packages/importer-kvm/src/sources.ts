/** Which pages a slot has: those of its dma-buf, of its guest_memfd, or of the process. */
import { DmaBufError, PAGE_SIZE } from "@dma-buf/core";
import type { DmaBufPages } from "./dma-buf-source.js";
import type { TrustedIoHost } from "./host.js";
import { memoryFault } from "./exits.js";
import { baseGfn, type GmemBacking, gpaOf, type MemorySlot, type SlotBacking } from "./memslot.js";
import type { ProcessMemory } from "./process-memory.js";
import { offsetIn } from "./slots.js";
import { type PageSource, shifted } from "./source.js";

/** What slots are backed by, as long as they are there. */
export interface Backings {
  readonly process: ProcessMemory;
  /** By a slot's backing: its dma-buf, attached. */
  readonly buffers: ReadonlyMap<SlotBacking, DmaBufPages>;
  /** `null`: the platform has none, and a mapping has no private frames. */
  readonly trustedIo: TrustedIoHost | null;
  /** The VM, by identity. */
  readonly vm: object;
}

/** `null`: the slot has no memory for that view. */
export function sourceOf(
  { process, buffers, trustedIo, vm }: Backings,
  slot: MemorySlot,
  isPrivate: boolean,
): PageSource | null {
  const { backing } = slot;
  const pages = buffers.get(backing);
  if (backing.kind === "dma-buf") return pages ? fromBuffer(pages, backing.offset, isPrivate, vm) : null;
  if (backing.kind === "gmem" && (isPrivate || backing.gmem.isMappable)) return fromGmem(backing, isPrivate);
  return isPrivate && !trustedIo ? null : fromProcess(process);
}

/**
 * Any refusal of the exporter is `EIO`: `EFAULT` would ask the VMM to convert the frame's attributes. RFC, patch 06; for the
 * contracts that nobody coded it is a reading.
 */
function fromBuffer(pages: DmaBufPages, offset: number, isPrivate: boolean, vm: object): PageSource {
  return (slot, gfn, install) => {
    const fault = (why: string, cause?: DmaBufError): DmaBufError =>
      memoryFault("EIO", gpaOf(gfn), isPrivate, why, cause);
    return pages.find(
      offset + offsetIn(slot, gfn),
      (cause) => fault(cause.message, cause),
      (page) => {
        if (page.owner && !(isPrivate && page.owner === vm))
          throw fault("the exporter says that it is one VM's alone: make the frame private there");
        return install(shifted(page, baseGfn(slot) - offset / PAGE_SIZE));
      },
    );
  };
}

/** The page is held until the leaf is there. */
function fromGmem({ gmem, offset }: GmemBacking, isPrivate: boolean): PageSource {
  return function* (slot, gfn, install) {
    let page: ReturnType<typeof gmem.getPfn>;
    try {
      page = gmem.getPfn(slot, offset, gfn);
    } catch (error) {
      if (!(error instanceof DmaBufError)) throw error;
      throw memoryFault(error.code, gpaOf(gfn), isPrivate, error.message, error);
    }
    try {
      return yield* install({ extent: { gfn, pfn: page.physical / PAGE_SIZE, pages: 1 }, cache: null });
    } finally {
      page.put();
    }
  };
}

/** What the process has mapped there, if anything, and if it may touch it. */
function fromProcess(process: ProcessMemory): PageSource {
  return function* (slot, gfn, install) {
    const hva = slot.hva + offsetIn(slot, gfn);
    const fault = (why: string, cause?: DmaBufError): DmaBufError =>
      memoryFault("EFAULT", gpaOf(gfn), false, why, cause);
    const installed = yield* process.find(
      hva,
      (cause) => fault(cause.message, cause),
      (page) => install(shifted(page, baseGfn(slot) - slot.hva / PAGE_SIZE)),
    );
    if (installed === null) throw fault("the process has nothing mapped there");
    return installed;
  };
}
