/**
 * A dma-buf as a backing: attached, asked once where it lies, and told when that ends. It lies nowhere from then on; the
 * areas stay. Linux: `iopt_map_dmabuf()`, `iopt_revoke_notify()`.
 */
import {
  type DmaBuf,
  type DmaBufAttachment,
  DmaBufError,
  type Held,
  type Op,
  PAGE_SIZE,
  type Run,
  until,
  Usage,
  type Window,
  withRuns,
} from "@dma-buf/core";
import { clipped, joined } from "@dma-buf/scatterlist";
import { type BufferPath, checkEnd } from "./buffer-path.js";
import { clear, install } from "./fill.js";
import { unlocked } from "./lock.js";
import { Pages, type Piece } from "./pages.js";
import type { BufferRange, World } from "./world.js";

const NAME = "iommufd";

export class DmaBufPages extends Pages {
  readonly kind = "dma-buf";
  readonly first: bigint;
  readonly #world: World;
  readonly #path: BufferPath;
  readonly #range: BufferRange;
  readonly #buf: DmaBuf;
  /** {@link first}, below 2^53. */
  readonly #first: number;
  readonly #sizeBytes: number;
  #attachment: DmaBufAttachment | null = null;
  #window: Window | null = null;
  /** Where it lies, by offset from {@link #first}; `null`: not asked yet, or revoked. Changes under the mutex. */
  #runs: readonly Run[] | null = null;
  /** Counts invalidates: what was asked for before one is not used after it. */
  #sequence = 0;
  #isAsked = false;

  constructor(world: World, path: BufferPath, range: BufferRange) {
    const { buf, start, length, isWritable } = range;
    super(world.fw.scheduler, isWritable, world.guards.mutex ? undefined : unlocked("iommufd.pages_mutex"));
    this.#world = world;
    this.#path = path;
    this.#range = range;
    this.#buf = buf;
    this.first = start - (start % BigInt(PAGE_SIZE));
    this.#first = Number(this.first);
    this.#sizeBytes = Number(start + length) - this.#first;
    world.fw.get(buf);
  }

  /** Does it lie nowhere? */
  get isRevoked(): boolean {
    return this.#runs === null;
  }

  *attach(): Op<void> {
    const ops = {
      allowPeer2peer: true,
      invalidateMappings: (_at: DmaBufAttachment, held: Held) => this.#invalidate(held),
    };
    this.#attachment = yield* this.#world.fw.dynamicAttach(this.#buf, this.#path.device, { name: NAME, ops });
  }

  /**
   * Asks where the buffer lies and fills all domains in which an area of it is entered. What is refused, by the exporter or
   * by a table, leaves it as it was. Hold neither the mutex nor the reservation.
   */
  override *acquire(): Op<void> {
    yield* until("iommufd.acquire", () => !this.#isAsked);
    let done = false;
    this.#isAsked = true;
    const before = this.#window;
    try {
      this.#window ??= yield* this.#path.open(this.#world, this.#attachment as DmaBufAttachment);
      if (this.#path.endStage) checkEnd(this.#range, this.#path.endStage);
      while (this.#runs === null) yield* this.#ask(this.#window);
      done = true;
    } catch (error) {
      throw error instanceof DmaBufError ? (this.#path.refusal?.(error) ?? error) : error;
    } finally {
      try {
        if (!done) yield* before ? this.#drop(before) : this.rest();
      } finally {
        this.#isAsked = false;
      }
    }
  }

  override *rest(): Op<void> {
    this.#runs = null;
    const window = this.#window;
    this.#window = null;
    if (window) yield* window.close();
  }

  pin(offset: number, sizeBytes: number): readonly Piece[] | null {
    if (!this.#runs) return null;
    return clipped(this.#runs, this.#first + offset, sizeBytes).map((run) => ({
      sizeBytes: run.sizeBytes,
      ...this.#path.place(this.#world, run),
    }));
  }

  unpin(): void {}

  *#ask(window: Window): Op<void> {
    const sequence = this.#sequence;
    const at = this.#attachment as DmaBufAttachment;
    yield* withRuns(at, window, this.#first, this.#sizeBytes, (runs) => this.#settled(runs, sequence));
  }

  /** The bytes may still be on their way to where the exporter says: no fence of a move is left behind. */
  *#settled(runs: readonly Run[], sequence: number): Op<void> {
    if (this.#world.guards.fences) yield* this.#buf.resv.waitTimeout(Usage.KERNEL);
    yield* this.#install(runs, sequence);
  }

  /** Where the window takes the reservation itself, a revoke may have come since: then it is asked again. */
  *#install(runs: readonly Run[], sequence: number): Op<void> {
    using _mutex = yield* this.mutex.write();
    if (sequence !== this.#sequence && this.#world.guards.retry) return;
    const mine = joined(clipped(runs, this.#first, this.#sizeBytes));
    for (const run of mine) this.#path.place(this.#world, run);
    this.#runs = mine;
    let done = false;
    try {
      for (const filled of this.filled) yield* install(this, filled);
      done = true;
    } finally {
      if (!done) yield* this.#empty();
    }
  }

  *#invalidate(held: Held): Op<void> {
    const { fw } = this.#world;
    fw.trace.emit("callback", () => `${NAME}: invalidate empties the areas of ${this.#buf.exporterName}`);
    {
      using _mutex = yield* this.mutex.write();
      this.#sequence++;
      yield* this.#empty();
    }
    if (this.#window) yield* this.#window.drop(held);
  }

  /** What an exporter mapped is given back. */
  *#drop(window: Window): Op<void> {
    using held = yield* this.#buf.resv.lock();
    yield* window.drop(held);
  }

  /** The mutex is held. */
  *#empty(): Op<void> {
    if (this.#runs === null) return;
    for (const filled of this.filled) yield* clear(this, filled);
    if (this.#world.guards.revoked) this.#runs = null;
  }

  protected *release(): Op<void> {
    const { fw } = this.#world;
    yield* this.rest();
    if (this.#attachment) yield* fw.detachAttachment(this.#buf, this.#attachment);
    yield* fw.put(this.#buf);
  }
}
