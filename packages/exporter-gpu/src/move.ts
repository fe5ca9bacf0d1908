/**
 * Moving a buffer while it is shared: importers are told, a copy is queued, and the fence of the copy says when the new
 * place may be used. The old one is given up when everybody who had a fence in the reservation is done with it.
 */
import {
  type DmaBuf,
  DmaBufError,
  DmaFence,
  type Framework,
  type Held,
  type Op,
  type Rule,
  type Stage,
  until,
  Usage,
} from "@dma-buf/core";
import { type OwnedBo, refuse } from "./buffer-object.js";
import type { GpuHost, Place } from "./host.js";
import type { GpuMemoryManager, Wanted } from "./memory.js";

/** What a contract, or an injected fault, makes of a move. */
export interface MoveOptions {
  /** Whose importers are told; `null`: nobody's. */
  readonly toBeTold: (bo: OwnedBo) => DmaBuf | null;
  /**
   * Is the copy waited for with the reservation held? Where importers see no fences, nobody may ask for an address
   * before the bytes are there.
   */
  readonly settles: boolean;
  /** A fault to inject: the copy and the old place wait for nobody's fences. */
  readonly ignoresFences: boolean;
}

/** A copy that was queued. */
export interface Move {
  readonly fence: DmaFence;
  /** What the copy waits for. */
  readonly before: readonly DmaFence[];
  /** Why the copy failed, once the fence has signalled. */
  failure: DmaBufError | null;
}

export class Mover {
  readonly #fw: Framework;
  readonly #host: GpuHost;
  readonly #memory: GpuMemoryManager;
  readonly #options: MoveOptions;

  constructor(fw: Framework, host: GpuHost, memory: GpuMemoryManager, options: MoveOptions) {
    this.#fw = fw;
    this.#host = host;
    this.#memory = memory;
    this.#options = options;
  }

  /**
   * Sees to it that the buffer is in the first place of `wanted` that has room. Call with the reservation held, on a
   * buffer that is not pinned. Linux: `ttm_bo_validate()`.
   * @throws DmaBufError `ENOMEM` when none has; where it is, it stays
   */
  *validate(bo: OwnedBo, wanted: readonly Wanted[], held: Held, stage: Stage): Op<void> {
    for (const one of wanted) {
      if (bo.place && this.#memory.fits(bo.place, one)) return;
      const next = this.#memory.alloc(bo.sizeBytes, one, stage);
      if (next) return void (yield* this.moveTo(bo, next, held, stage));
    }
    const where = wanted.map((w) => (w.visible ? `visible ${w.domain}` : w.domain)).join(", ");
    refuse("ENOMEM", "ttm_bo_validate", stage, `${bo.sizeBytes} bytes have no room in ${where}: free some`);
  }

  /**
   * Moves to `next`, which the buffer owns from then on; refused, `next` is given back. The fence of the copy is in the
   * reservation. It signals in the step in which the old place is given up.
   * @throws DmaBufError `ENOMEM`
   */
  *moveTo(bo: OwnedBo, next: Place, held: Held, stage: Stage): Op<Move> {
    try {
      // Before the fences are looked at: what importers add in their callback is waited for too.
      yield* this.#tell(bo, held);
      this.#fw.env.alloc(rule("amdgpu_job_alloc_with_ib", stage));
      held.resv.reserveFences(held, 1);
      const move = this.#queueCopy(bo, next, held);
      if (this.#options.settles) yield* copied(move);
      return move;
    } finally {
      // Refused, or ended in the middle.
      if (bo.place !== next) this.#memory.free(next);
    }
  }

  *#tell(bo: OwnedBo, held: Held): Op<void> {
    const buf = this.#options.toBeTold(bo);
    if (!buf) return;
    bo.moving = true;
    try {
      yield* this.#fw.invalidate(buf, held);
    } finally {
      bo.moving = false;
    }
  }

  /** @throws DmaBufError `ENOMEM`, and nothing was queued */
  #queueCopy(bo: OwnedBo, next: Place, held: Held): Move {
    const from = bo.place as Place;
    const before = this.#options.ignoresFences ? [] : held.resv.getFences(Usage.BOOKKEEP);
    const fence = this.#newFence(bo);
    held.resv.addFence(held, fence, Usage.KERNEL);
    bo.place = next;
    const move: Move = { fence, before, failure: null };
    this.#fw.scheduler.spawn(`${this.#host.name} sdma`, this.#copy(from, next, move));
    return move;
  }

  #newFence(bo: OwnedBo): DmaFence {
    const ops = { driverName: () => "amdgpu", timelineName: () => `${this.#host.name} sdma` };
    return new DmaFence(this.#fw.env, ops, bo.fenceContext, ++bo.moves);
  }

  /** The job: the reservation's fences before the copy, so that no write comes after the byte was read. */
  *#copy(from: Place, to: Place, move: Move): Op<void> {
    const { fence } = move;
    for (const other of move.before) {
      yield* other.wait();
      other.put();
    }
    try {
      yield* this.#host.copy(from, to);
    } catch (cause) {
      // Whoever waits for the fence must not wait for ever.
      move.failure = failed(cause);
      fence.setError(move.failure.errno);
    }
    fence.signal();
    this.#memory.free(from);
    fence.put();
  }
}

function failed(cause: unknown): DmaBufError {
  const message = "the copy engine failed, and the buffer's bytes are undefined: write them anew";
  return new DmaBufError("EIO", { op: "amdgpu_copy_buffer", stage: "map", message, cause });
}

/**
 * Waits until the bytes are there and the old place is given up; says for whom.
 * @throws DmaBufError `EIO` the copy failed
 */
export function* copied(move: Move): Op<void> {
  const { fence, before } = move;
  const pending = (): readonly DmaFence[] => [...before, fence].filter((f) => !f.signaledFlag);
  yield* until(
    "ttm_bo_wait",
    () => fence.signaledFlag,
    () =>
      pending()
        .map((f) => f.describe())
        .join(", then "),
  );
  if (move.failure) throw move.failure;
}

/** The rule under which an allocation is told to fail. */
export function rule(op: string, stage: Stage): Rule {
  return { id: `gpu/${op}`, op, stage, source: "Linux 7.3, drivers/gpu/drm/amd/amdgpu" };
}
