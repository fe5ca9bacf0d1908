/**
 * A dma-buf as memory of an RDMA device: attached, pinned, mapped, cut to the region. Linux: `struct ib_umem_dmabuf`.
 * Where the reservation must be held is the window's to say.
 */
import {
  type DmaBufAttachment,
  type DmaBufAttachOps,
  type Framework,
  type Held,
  type Op,
  point,
  type Run,
  Usage,
  type Window,
} from "@dma-buf/core";
import { clipped, joined } from "@dma-buf/scatterlist";
import type { Reach } from "./conduct.js";
import type { RdmaFunction } from "./host.js";
import { Invalidations } from "./invalidations.js";
import type { RdmaGuards } from "./options.js";
import { refusal } from "./refuse.js";
import type { CheckedMr } from "./request.js";
import { pagesOf, reached, released, type Segment } from "./segments.js";

/** What a memory region is made with. */
export interface UmemParts {
  readonly fw: Framework;
  readonly request: CheckedMr;
  readonly guards: RdmaGuards;
  readonly name: string;
  readonly device: RdmaFunction;
  readonly reach: Reach;
  readonly open: (fw: Framework, at: DmaBufAttachment) => Op<Window>;
  /** Writes what was mapped into the device. Throws what it refuses; then nothing was written. */
  readonly install: (segments: readonly Segment[]) => void;
}

export class Umem {
  /** For ever: it is not mapped again. */
  revoked = false;
  /** For a window that is asked with no lock held. */
  readonly invalidations: Invalidations = new Invalidations();
  readonly #parts: UmemParts;
  #at: DmaBufAttachment | null = null;
  #window: Window | null = null;
  #segments: readonly Segment[] | null = null;
  #pinned = false;

  constructor(parts: UmemParts) {
    this.#parts = parts;
  }

  /** What is mapped, in the order of the buffer; `null`: nothing is. */
  get segments(): readonly Segment[] | null {
    return this.#segments;
  }

  /** Takes a reference and attaches. Whatever it throws, {@link release} takes back what was done. */
  *attach(ops: DmaBufAttachOps | null): Op<void> {
    const { fw, request, name, device } = this.#parts;
    fw.get(request.buf);
    let done = false;
    try {
      this.#at = yield* fw.dynamicAttach(request.buf, device, { name, ops });
      done = true;
    } finally {
      if (!done) yield* fw.put(request.buf);
    }
    this.#window = yield* this.#parts.open(fw, this.#at);
  }

  /** Pins and maps under one lock, where the contract's window is called with it held. */
  *init(what: { readonly pins: boolean; readonly maps: boolean }): Op<void> {
    const { buf } = this.#parts.request;
    if (what.pins || this.#held) {
      using held = yield* buf.resv.lock();
      if (what.pins) {
        yield* this.#parts.fw.pinAttachment(this.#attached, held);
        this.#pinned = true;
      }
      if (this.#held && what.maps) return yield* this.#mapped(held);
    }
    if (what.maps) yield* this.#mapped(null);
  }

  /** Maps, unless it is mapped, and waits until the memory is the exporter's no more. Call without the reservation. */
  *map(): Op<void> {
    if (!this.#held) return yield* this.#mapped(null);
    using held = yield* this.#parts.request.buf.resv.lock();
    yield* this.#mapped(held);
  }

  /** Gives back what was mapped. The device must have stopped. */
  *unmap(held: Held): Op<void> {
    const segments = this.#segments ?? [];
    this.#segments = null;
    yield* released(segments);
    if (this.#window) yield* this.#window.drop(held);
  }

  *unpin(held: Held): Op<void> {
    if (!this.#pinned) return;
    this.#pinned = false;
    yield* this.#parts.fw.unpinAttachment(this.#attached, held);
  }

  /**
   * Gives back everything, in the order of `ib_umem_dmabuf_release()`: unmaps, unpins, detaches, puts. Once. What an
   * exporter throws at one step, or never answers, keeps it from no other.
   */
  *release(): Op<void> {
    const { fw, request, guards } = this.#parts;
    const at = this.#at;
    if (!at) return;
    try {
      yield* this.#empty();
      if (guards.unmap && this.#window) yield* this.#window.close();
    } finally {
      this.#at = null;
      try {
        yield* fw.detachAttachment(request.buf, at);
      } finally {
        yield* fw.put(request.buf);
      }
    }
  }

  *#empty(): Op<void> {
    const { request, guards } = this.#parts;
    using held = yield* request.buf.resv.lock();
    try {
      if (guards.unmap) yield* this.unmap(held);
    } finally {
      yield* this.unpin(held);
    }
  }

  get #held(): boolean {
    return this.#window?.resv === "held";
  }

  get #attached(): DmaBufAttachment {
    return this.#at as DmaBufAttachment;
  }

  /** Linux: `ib_umem_dmabuf_map_pages()`. Ends when it is mapped and nothing came between. */
  *#mapped(held: Held | null): Op<void> {
    const { request, guards } = this.#parts;
    const { from, sizeBytes } = pagesOf(request);
    for (;;) {
      // Who holds the reservation is never called back meanwhile.
      if (!held) yield* this.invalidations.over();
      if (this.revoked)
        throw refusal(
          "EINVAL",
          "ib_umem_dmabuf_map_pages",
          "its memory moved or was revoked while it was registered: register again",
        );
      const { sequence } = this.invalidations;
      const runs = this.#segments ? null : yield* (this.#window as Window).runs(from, sizeBytes, held);
      if (guards.fences) yield* request.buf.resv.waitTimeout(Usage.KERNEL);
      if (!held) yield* point("rdma.install");
      // Another fault was faster.
      if (this.#segments) return;
      const isOvertaken = guards.retry && sequence !== this.invalidations.sequence;
      if (!runs || isOvertaken) continue;
      return yield* this.#install(joined(clipped(runs, from, sizeBytes)), held);
    }
  }

  *#install(runs: readonly Run[], held: Held | null): Op<void> {
    const { reach, install } = this.#parts;
    let segments: readonly Segment[] = [];
    try {
      segments = yield* reached(runs, reach);
      install(segments);
      this.#segments = segments;
    } catch (error) {
      yield* released(segments);
      if (held) yield* this.unmap(held);
      throw error;
    }
  }
}
