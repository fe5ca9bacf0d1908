/** What a GPU's driver offers as an exporter, whatever the contract. */
import type { DmaBuf, Op } from "@dma-buf/core";
import type { BufferObject, BufferObjectOptions } from "./buffer-object.js";
import type { Domain } from "./host.js";

/** What is still out. All zero when everybody gave back what they took. */
export interface GpuLedger {
  readonly bufferObjects: number;
  readonly vramBytes: number;
  readonly gttBytes: number;
  /** Pins of importers, of the driver and of kernel mappings. */
  readonly pins: number;
  /** Attachments for which the GPU is kept awake. */
  readonly runtimeRefs: number;
  readonly tables: number;
}

/**
 * The exporter for one GPU. What sleeps takes the reservation of its buffer: call it without. What its `create()` did not make
 * is refused with `ENOENT`, at the stage of the call; {@link GpuExporter.lose} has stage `map`.
 */
export interface GpuExporter {
  readonly ledger: GpuLedger;
  /**
   * A buffer object with one reference, the caller's, in the preferred domain if there is room, else in another allowed one.
   * @throws DmaBufError `EINVAL` a size, a domain or a choice of domains that cannot be · `ENOMEM` · `ENODEV` removed. Stage `export`
   */
  create(options: BufferObjectOptions): BufferObject;
  /**
   * The buffer object as a dma-buf with a reference for the caller: the same one as long as it lives.
   * @throws DmaBufError `ENOENT` closed · `EPERM` userptr, or always valid in its address space · `ENODEV` gone · `ENOMEM`.
   * Stage `export`
   */
  export(bo: BufferObject): DmaBuf;
  /**
   * Gives the creator's reference back. With the last one the memory goes, once the fences have signalled.
   * @throws DmaBufError `EINVAL` twice. Stage `export`
   */
  close(bo: BufferObject): void;
  /**
   * Moves, unless it is there: then nothing is copied. Importers are told; when it returns, the bytes are there and the old
   * place is overwritten.
   * @throws DmaBufError `EBUSY` pinned · `EINVAL` not allowed there · `ENOMEM` no room · `ENODEV` gone · `EIO` the copy
   * failed: it has moved, and its bytes are undefined. Stage `map`
   */
  move(bo: BufferObject, to: Domain): Op<void>;
  /** To RAM. As {@link move}. */
  evict(bo: BufferObject): Op<void>;
  /** The driver's own pin, where it is: for scan-out. @throws DmaBufError `EPERM` · `EINVAL` · `ENODEV`. Stage `pin` */
  pin(bo: BufferObject): Op<void>;
  unpin(bo: BufferObject): Op<void>;
  /**
   * Takes the memory away for good, pinned or not: importers are told, and what the contract drains is waited for, and
   * the end of kernel mappings; as posted the fences only. Who maps after that gets `ENODEV`. An importer that never unmaps
   * keeps it waiting for ever; ended meanwhile, the memory comes back with the last reference.
   */
  lose(bo: BufferObject): Op<void>;
  /** The GPU is pulled out: {@link lose}s every buffer. As posted nobody is told. */
  remove(): Op<void>;
}
