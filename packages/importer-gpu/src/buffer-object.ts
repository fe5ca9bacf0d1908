/** An imported dma-buf inside the driver: what is known of where it lies, and what is still to be given back. */
import {
  type DmaBuf,
  type DmaBufAttachment,
  type DmaFence,
  type Held,
  isPageAligned,
  type Op,
  PAGE_SIZE,
  type Run,
  type Window,
} from "@dma-buf/core";
import type { Reached } from "@dma-buf/scatterlist";
import type { ImportedBuffer } from "./importer.js";
import type { VmMapping } from "./vm-mapping.js";

/** A run with the address by which the device reaches it. */
export interface Piece extends Reached {
  readonly run: Run;
  /** Does the address lead into the GPU's own memory or its fabric, and not onto the bus? */
  readonly deviceMemory: boolean;
}

/** All of a buffer, as it was told at one time. */
export interface Content {
  readonly pieces: readonly Piece[];
}

/** What was invalidated and is not given back yet. */
export interface Teardown {
  readonly content: Content;
  /** Signals when its entries are out of every table and TLB; `null`: each address space sees to that itself. */
  readonly fence: DmaFence | null;
  /** Sleeps until nothing uses it any more; may be asked several times. */
  ready(): Op<void>;
  /** Is the work that does so over? A buffer is not detached before. */
  isOver(): boolean;
}

export class ImportedBo implements ImportedBuffer {
  readonly buf: DmaBuf;
  readonly sizeBytes: number;
  readonly attachment: DmaBufAttachment;
  readonly window: Window;
  refs = 1;
  /** Submissions that are looking at it: it is not closed under them. */
  users = 0;
  /** Counts invalidates: whoever asked without the reservation looks whether it is the same afterwards. */
  sequence = 0;
  content: Content | null = null;
  teardown: Teardown | null = null;
  readonly mappings: Set<VmMapping> = new Set();

  constructor(attachment: DmaBufAttachment, window: Window) {
    const { buf } = attachment;
    this.buf = buf;
    this.attachment = attachment;
    this.window = window;
    this.sizeBytes = isPageAligned(buf.sizeBytes)
      ? buf.sizeBytes
      : buf.sizeBytes + PAGE_SIZE - (buf.sizeBytes % PAGE_SIZE);
  }

  get closed(): boolean {
    return this.refs === 0;
  }

  get runs(): readonly Run[] {
    return this.content?.pieces.map((piece) => piece.run) ?? [];
  }

  /** Runs that are not given back. */
  get live(): number {
    return (this.content?.pieces.length ?? 0) + (this.teardown?.content.pieces.length ?? 0);
  }

  /** Gives back what the device reached and, where the exporter mapped, its mapping. Nothing may use it any more. */
  *giveBack(content: Content, held: Held): Op<void> {
    for (const piece of content.pieces) piece.release();
    // A window without the lock was told already, in the callback: it has nothing of the exporter's.
    if (this.window.resv === "held") yield* this.window.drop(held);
  }

  /** Ends a teardown that is under way; nothing where there is none. */
  *settle(held: Held): Op<void> {
    const { teardown } = this;
    if (!teardown) return;
    yield* teardown.ready();
    this.teardown = null;
    yield* this.giveBack(teardown.content, held);
  }
}
