/**
 * A dma-buf as a backing: attached, asked once where it lies, and told when that ends. It lies nowhere from then on; the
 * areas stay. Linux: `iopt_map_dmabuf()`, `iopt_revoke_notify()`.
 */
import {
  type Device,
  type DmaBuf,
  type DmaBufAttachment,
  DmaBufError,
  type ErrnoName,
  type Held,
  hex,
  type Op,
  PAGE_SIZE,
  point,
  type Run,
  type Stage,
  type Window,
  withRuns,
} from "@dma-buf/core";
import { clipped, joined } from "@dma-buf/scatterlist";
import { clear, install } from "./fill.js";
import type { Lock } from "./lock.js";
import { Pages, type Piece } from "./pages.js";
import type { BufferRange, World } from "./world.js";

/** What a contract changes. */
export interface BufferPath {
  /** Who attaches. `null`: an IOAS has no device of its own. */
  readonly device: Device | null;
  /** How it comes to see runs, after the attach. */
  open(world: World, attachment: DmaBufAttachment): Op<Window>;
  /** Where a run lies. @throws DmaBufError `EOPNOTSUPP` a kind that a domain's table cannot hold */
  place(world: World, run: Run): Pick<Piece, "physical" | "cache">;
  /** Is a range that ends behind the buffer left to the exporter to refuse? @defaultValue false */
  readonly leavesEnd?: boolean;
  /** What the user is told when the buffer is not to be had. @defaultValue what the exporter said */
  refusal?(error: DmaBufError): DmaBufError;
}

const NAME = "iommufd";

/** Attaches. @throws DmaBufError at stage `map`: `EINVAL` beyond the buffer, or 2^44 bytes and more; at `attach`: the exporter's */
export function* attachBuffer(world: World, path: BufferPath, range: BufferRange): Op<DmaBufPages> {
  checkRange(range, path.leavesEnd ?? false);
  const pages = new DmaBufPages(world, path, range);
  let done = false;
  try {
    yield* pages.attach();
    done = true;
    return pages;
  } finally {
    if (!done) yield* pages.put();
  }
}

export class DmaBufPages extends Pages {
  readonly kind = "dma-buf";
  readonly #world: World;
  readonly #path: BufferPath;
  readonly #buf: DmaBuf;
  /** Of the page in which it begins, in the buffer. */
  readonly #first: number;
  readonly #sizeBytes: number;
  #attachment: DmaBufAttachment | null = null;
  #window: Window | null = null;
  /** Where it lies, by offset from {@link #first}; `null`: not asked yet, or revoked. Changes under the mutex. */
  #runs: readonly Run[] | null = null;
  /** Counts invalidates: what was asked for before one is not used after it. */
  #sequence = 0;

  constructor(world: World, path: BufferPath, { buf, start, length }: BufferRange) {
    super(world.fw.scheduler, true, world.guards.mutex ? undefined : unlocked);
    this.#world = world;
    this.#path = path;
    this.#buf = buf;
    this.#first = Number(start) - (Number(start) % PAGE_SIZE);
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
    let done = false;
    const before = this.#window;
    try {
      this.#window ??= yield* this.#path.open(this.#world, this.#attachment as DmaBufAttachment);
      while (this.#runs === null) yield* this.#ask(this.#window);
      done = true;
    } catch (error) {
      throw error instanceof DmaBufError ? (this.#path.refusal?.(error) ?? error) : error;
    } finally {
      if (!done) yield* before ? this.#drop(before) : this.rest();
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
    yield* withRuns(at, window, this.#first, this.#sizeBytes, (runs) => this.#install(runs, sequence));
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

/** For a run without the mutex. */
const unlocked = {
  site: "iommufd.pages_mutex",
  read: unlockedOnce,
  write: unlockedOnce,
} as unknown as Lock;

function* unlockedOnce(): Op<Disposable> {
  yield* point("iommufd.pages_mutex");
  return { [Symbol.dispose]() {} };
}

/** A backing counts its pages in 32 bits. */
const PAGES_END = 2n ** 32n - 1n;

function checkRange({ buf, start, length }: BufferRange, leavesEnd: boolean): void {
  if (!leavesEnd && start + length > BigInt(buf.sizeBytes))
    throw refused(
      "EINVAL",
      `start ${hex(Number(start))} + length ${hex(Number(length))} is beyond the buffer of ${hex(buf.sizeBytes)} bytes`,
    );
  if (length / BigInt(PAGE_SIZE) >= PAGES_END)
    throw refused("EINVAL", `${length} bytes are more than 2^32 - 2 pages: map less at once`);
}

/** A refusal of MAP_FILE. */
export function refused(code: ErrnoName, message: string, stage: Stage = "map", cause?: unknown): DmaBufError {
  return new DmaBufError(code, { op: "IOMMU_IOAS_MAP_FILE", stage, message, ...(cause ? { cause } : {}) });
}

/** What a kind of run is refused with, by who takes page frames or annotated addresses. */
export function unusable({ kind, offset }: Run): DmaBufError {
  return refused("EOPNOTSUPP", `offset ${hex(offset)} has a ${kind} address: a domain's table holds CPU-physical ones`);
}
