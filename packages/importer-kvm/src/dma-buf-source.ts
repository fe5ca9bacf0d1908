/**
 * Pages out of a dma-buf: an attachment without a device, the contract's window on it, and the callback by which the
 * exporter takes pages away.
 */
import {
  type DmaBuf,
  type DmaBufAttachment,
  DmaBufError,
  type Framework,
  type Held,
  type Op,
  PAGE_SIZE,
  type PhysAddr,
  type Run,
  Usage,
  type Window,
  withRuns,
} from "@dma-buf/core";
import type { MemoryType } from "@dma-buf/page-table";
import { checkedWindow, joined } from "@dma-buf/scatterlist";
import type { FoundPage } from "./source.js";

/** What a contract makes of a run: where it lies for the CPU, and what is said of its caching. */
export interface Placed {
  readonly physical: PhysAddr;
  readonly cache: MemoryType | null;
  /** The VM whose alone it is; not given: nobody says. */
  readonly owner?: object;
}

/** Where a run is. @throws DmaBufError `EOPNOTSUPP` for a kind of run that a second stage cannot hold */
export type Place = (run: Run) => Placed;

/** How a contract's runs become pages. */
export interface Placing {
  readonly place: Place;
  /**
   * How far around a page its neighbours are asked for, bytes. Where the exporter has mapped all at once, what goes on in
   * the next run may be one leaf; where it is asked page by page, it has said of a page what there is to say.
   * @defaultValue 0
   */
  readonly lookAroundBytes?: number;
}

/** Told with the reservation held: nothing of the buffer may be used when it returns. */
export type Invalidate = (held: Held) => Op<void>;

/** A buffer, attached and open; it holds a reference. */
export class DmaBufPages {
  readonly buf: DmaBuf;
  readonly #fw: Framework;
  readonly #at: DmaBufAttachment;
  readonly #window: Window;
  readonly #placing: Placing;
  /** Is a leaf of it installed, since it was last taken away? */
  #isUsed = false;

  private constructor(fw: Framework, at: DmaBufAttachment, window: Window, placing: Placing) {
    this.#fw = fw;
    this.#at = at;
    this.#window = window;
    this.#placing = placing;
    this.buf = at.buf;
  }

  /** Attaches and opens. @throws DmaBufError what either refuses with; nothing is left behind */
  static *open(fw: Framework, buf: DmaBuf, name: string, placing: Placing, invalidate: Invalidate): Op<DmaBufPages> {
    let pages: DmaBufPages | null = null;
    const invalidateMappings = function* (_at: DmaBufAttachment, held: Held): Op<void> {
      yield* invalidate(held);
      yield* pages?.drop(held) ?? nothing();
    };
    fw.get(buf);
    let at: DmaBufAttachment | null = null;
    try {
      at = yield* fw.dynamicAttach(buf, null, { name, ops: { allowPeer2peer: true, invalidateMappings } });
      pages = new DmaBufPages(fw, at, yield* checkedWindow(fw, at, "bidirectional"), placing);
      return pages;
    } finally {
      if (!pages && at) yield* fw.detachAttachment(buf, at);
      if (!pages) yield* fw.put(buf);
    }
  }

  /**
   * The page at byte `offset`, for `install`; frames of its extent are counted from the buffer's first page. Where the
   * contract asks with the reservation held, it is held until `install` is through.
   * @throws DmaBufError what the exporter refuses with, by `refusal`; what `install` throws
   */
  *find(
    offset: number,
    refusal: (cause: DmaBufError) => unknown,
    install: (page: FoundPage) => Op<boolean>,
  ): Op<boolean> {
    let isFound = false;
    try {
      const { from, sizeBytes } = this.#around(offset);
      return yield* withRuns(this.#at, this.#window, from, sizeBytes, (runs) => {
        const page = this.#pageOf(joined(runs), offset);
        isFound = true;
        return this.#noted(install(page));
      });
    } catch (error) {
      yield* this.#giveBackUnused();
      throw isFound || !(error instanceof DmaBufError) ? error : refusal(error);
    }
  }

  /** Nothing of it is installed any more. */
  *drop(held: Held): Op<void> {
    this.#isUsed = false;
    yield* this.#window.drop(held);
  }

  *#noted(installing: Op<boolean>): Op<boolean> {
    // The bytes may still be on their way to where the exporter says: KVM leaves no fence, but waits for those of a move.
    yield* this.buf.resv.waitTimeout(Usage.KERNEL);
    const installed = yield* installing;
    this.#isUsed ||= installed;
    return installed;
  }

  /** What was mapped for a fault that was refused. */
  *#giveBackUnused(): Op<void> {
    if (this.#window.resv === "free" || this.#isUsed) return;
    using held = yield* this.buf.resv.lock();
    // Another vCPU's fault may have come between.
    if (!this.#isUsed) yield* this.#window.drop(held);
  }

  *close(): Op<void> {
    yield* this.#window.close();
    yield* this.#fw.detachAttachment(this.buf, this.#at);
    yield* this.#fw.put(this.buf);
  }

  #around(offset: number): { from: number; sizeBytes: number } {
    const { lookAroundBytes = 0 } = this.#placing;
    const from = Math.max(0, offset - lookAroundBytes);
    const end = Math.min(offset + lookAroundBytes, this.buf.sizeBytes - PAGE_SIZE) + PAGE_SIZE;
    return { from, sizeBytes: Math.max(end, offset + PAGE_SIZE) - from };
  }

  #pageOf(runs: readonly Run[], offset: number): FoundPage {
    const run = runs.find((r) => r.offset <= offset && offset < r.offset + r.sizeBytes) as Run;
    const { physical, ...said } = this.#placing.place(run);
    return {
      extent: { gfn: run.offset / PAGE_SIZE, pfn: physical / PAGE_SIZE, pages: run.sizeBytes / PAGE_SIZE },
      ...said,
    };
  }
}

function* nothing(): Op<void> {}
