/** `dma_iova_*`: IOVAs first, mappings piece by piece, and one flush when they go. */
import {
  addr,
  DmaBufError,
  type Direction,
  type DmaAddr,
  type DmaIovaState,
  type DmaMapAttributes,
  hex,
  type Iova,
  type Op,
  PAGE_SIZE,
  type PhysAddr,
} from "@dma-buf/core";
import type { IovaRange } from "../iommu/unit.js";
import type { IommuDmaInit } from "./iommu-dma-init.js";
import { isWholePages, pagesOf, protectionOf } from "./pages.js";

/** IOVAs that were taken for it. */
interface Taken {
  readonly iova: Iova;
  /** Offset of the first byte in its page. */
  readonly into: number;
  readonly sizeBytes: number;
  /** Bytes of IOVA, whole pages. */
  readonly pages: number;
  /** Gives them back. */
  readonly end: () => void;
}

export class IovaState implements DmaIovaState {
  readonly address: DmaAddr;
  readonly sizeBytes: number;
  readonly #dma: IommuDmaInit;
  readonly #taken: Taken;
  #hasEnded = false;

  constructor(dma: IommuDmaInit, taken: Taken) {
    this.#dma = dma;
    this.#taken = taken;
    this.address = addr<DmaAddr>(taken.iova + taken.into);
    this.sizeBytes = taken.sizeBytes;
  }

  link(offset: number, physical: PhysAddr, sizeBytes: number, direction: Direction, { mmio }: DmaMapAttributes): void {
    const op = "dma_iova_link";
    const { address, sizeBytes: pages } = this.#range(op, offset, sizeBytes);
    const values = { offset, physical, sizeBytes };
    if ((this.address + offset - physical) % PAGE_SIZE !== 0)
      throw refused("EINVAL", op, `${hex(physical)} has another offset in its page: allocate for it`, values);
    if (this.#dma.isUntrusted && !isWholePages(physical, sizeBytes))
      throw mmio
        ? refused("EPERM", op, `${hex(physical)} is MMIO that would have to be bounced: link whole pages`, values)
        : refused("ENOMEM", op, `${hex(physical)} must be bounced, not modelled here: use dma_map_phys`, values);
    this.#map({ address, sizeBytes: pages }, addr<PhysAddr>(physical - (physical % PAGE_SIZE)), direction);
  }

  sync(_offset: number, _sizeBytes: number): void {
    // Neither unit caches that an entry is missing, so a new one is in force as soon as it is written.
  }

  *unlink(offset: number, sizeBytes: number): Op<void> {
    const range = this.#range("dma_iova_unlink", offset, sizeBytes);
    this.#checkLinked("dma_iova_unlink", range);
    yield* this.#clear(range);
  }

  *destroy(mappedBytes: number): Op<void> {
    const op = "dma_iova_destroy";
    const mapped = mappedBytes === 0 ? null : this.#range(op, 0, mappedBytes);
    this.#checkAlive(op);
    if (mapped) this.#checkLinked(op, mapped);
    this.#checkRest(op, mapped?.sizeBytes ?? 0);
    // At once, and not when it is flushed: whoever runs meanwhile must not link into what is given back.
    this.#hasEnded = true;
    if (mapped) yield* this.#clear(mapped);
    this.#taken.end();
  }

  /** What is in the way is refused, or replaced: a table that goes is flushed first. Linux: `io_pgtable_tlb_flush_walk()`. */
  #map(range: IovaRange, physical: PhysAddr, direction: Direction): void {
    const { table, unit, domain } = this.#dma;
    const isInTheWay = !table.leaves(range.address, range.sizeBytes).next().done;
    table.map(range.address, physical, range.sizeBytes, protectionOf(direction));
    if (isInTheWay) unit.flushNow(domain, range);
  }

  *#clear(range: IovaRange): Op<void> {
    const { table, tables, unit, domain } = this.#dma;
    const gather: PhysAddr[] = [];
    table.unmap(range.address, range.sizeBytes, gather);
    yield* unit.flush(domain, range);
    for (const freed of gather) tables.freeTable(freed);
  }

  #checkAlive(op: string): void {
    if (this.#hasEnded)
      throw refused("EINVAL", op, `the IOVAs at ${hex(this.address)} were given back: allocate anew`, {});
  }

  /** The whole pages of a piece. */
  #range(op: string, offset: number, sizeBytes: number): IovaRange {
    this.#checkAlive(op);
    const isPiece = Number.isSafeInteger(offset) && Number.isSafeInteger(sizeBytes) && offset >= 0 && sizeBytes > 0;
    if (isPiece && offset + sizeBytes <= this.sizeBytes) return pagesOf(this.address + offset, sizeBytes);
    const what = `${sizeBytes} bytes from ${offset} on are empty or beyond ${this.sizeBytes} bytes`;
    throw refused("EINVAL", op, `${what}: name a piece of what was allocated`, { offset, sizeBytes });
  }

  /** A hole would end the unmapping there, and what is behind it would stay. */
  #checkLinked(op: string, { address, sizeBytes }: IovaRange): void {
    let linked = 0;
    for (const leaf of this.#dma.table.leaves(address, sizeBytes)) {
      const isWithin = leaf.va >= address && leaf.va + leaf.sizeBytes <= address + sizeBytes;
      linked += isWithin ? leaf.sizeBytes : 0;
    }
    if (linked === sizeBytes) return;
    const what = `of ${sizeBytes} bytes at ${hex(address)} only ${linked} are linked in whole leaves`;
    throw refused("EINVAL", op, `${what}: unlink each piece as it was linked`, { address, sizeBytes, linked });
  }

  /** IOVAs that are given back must lead nowhere. */
  #checkRest(op: string, mappedPages: number): void {
    const { iova, pages } = this.#taken;
    if (mappedPages === pages) return;
    const first = this.#dma.table.leaves(iova + mappedPages, pages - mappedPages).next();
    if (!first.done)
      throw refused("EINVAL", op, `${hex(first.value.va)} is linked still: unlink it first`, { at: first.value.va });
  }
}

function refused(
  code: "EINVAL" | "EPERM" | "ENOMEM",
  op: string,
  message: string,
  values: Record<string, unknown>,
): DmaBufError {
  return new DmaBufError(code, { op, stage: "map", message, values });
}
