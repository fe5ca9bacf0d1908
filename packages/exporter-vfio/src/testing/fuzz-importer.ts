/** For the fuzz test: an importer with as many attachments as it likes, which keeps the contract or breaks it by habit. */
import {
  BugSignal,
  type Device,
  type DmaBuf,
  type DmaBufAttachment,
  DmaFence,
  type Framework,
  type Held,
  type Op,
  point,
  type SgTable,
  Usage,
} from "@dma-buf/core";

/** What it does when it is told to stop. The first two keep the contract. */
export const HABITS = ["zaps", "fences", "throws", "keeps all", "maps again", "oopses", "wants memory_lock"] as const;
export type Habit = (typeof HABITS)[number];

/** One attachment, with what was told under it. */
export interface Use {
  readonly at: DmaBufAttachment;
  readonly tables: SgTable[];
  frames: number;
  /** Counts what it was told to drop: KVM's sequence. */
  told: number;
  pins: number;
  /** Acts under way: nobody detaches meanwhile. */
  busy: number;
  leaving: boolean;
}

/** What surrounds it. */
export interface Surroundings {
  readonly fw: Framework;
  /** It gets at the bytes now. */
  arrive(buf: DmaBuf, how: string): Op<void>;
  /** Something that takes `memory_lock`. */
  lockMemory(): Op<void>;
}

export class FuzzImporter {
  readonly habit: Habit;
  behaves = false;
  readonly uses: Set<Use> = new Set();
  readonly #fw: Framework;
  readonly #around: Surroundings;

  constructor(habit: Habit, around: Surroundings) {
    this.habit = habit;
    this.#around = around;
    this.#fw = around.fw;
  }

  *attach(buf: DmaBuf, device: Device | null, hasCallback: boolean): Op<void> {
    const invalidateMappings = (at: DmaBufAttachment, held: Held): Op<void> => this.#told(at, held);
    const ops = { allowPeer2peer: true, ...(hasCallback && { invalidateMappings }) };
    this.#fw.get(buf);
    try {
      const at = yield* this.#fw.dynamicAttach(buf, device, { name: this.habit, ops });
      this.uses.add({ at, tables: [], frames: 0, told: 0, pins: 0, busy: 0, leaving: false });
    } catch (error) {
      yield* this.#fw.put(buf);
      throw error;
    }
  }

  /** Maps or asks, as the contract has it, and gets at the bytes, under the lock and later. */
  *use(use: Use, page: number): Op<void> {
    const { buf } = use.at;
    if (buf.ops.mmap) return;
    const fence = this.habit === "fences" ? this.#fence() : null;
    {
      const { told } = use;
      const early = this.#fw.contract.rows.getPfnUnlocked !== undefined;
      if (early) yield* this.#fw.getPfnUnlocked(use.at, page);
      using held = yield* buf.resv.lock();
      // The answer may be old: who asked without the lock looks whether it was told meanwhile.
      if (early && use.told !== told) return;
      if (!early) yield* this.#ask(use, page, held);
      if (buf.ops.getPfn) use.frames++;
      if (fence) buf.resv.reserveFences(held, 1);
      if (fence) buf.resv.addFence(held, fence, Usage.BOOKKEEP);
      yield* this.#around.arrive(buf, "under the lock");
    }
    yield* point("job");
    try {
      if (fence || use.tables.length + use.frames > 0) yield* this.#around.arrive(buf, "later");
    } finally {
      fence?.signal();
    }
  }

  *pin(use: Use): Op<void> {
    using held = yield* use.at.buf.resv.lock();
    yield* this.#fw.pinAttachment(use.at, held);
    use.pins++;
  }

  *leave(use: Use): Op<void> {
    const { at } = use;
    use.leaving = true;
    {
      using held = yield* at.buf.resv.lock();
      yield* this.#giveBack(use, held);
      for (; use.pins > 0; use.pins--) yield* this.#fw.unpinAttachment(at, held);
    }
    yield* this.#fw.detachAttachment(at.buf, at);
    this.uses.delete(use);
    yield* this.#fw.put(at.buf);
  }

  *#ask(use: Use, page: number, held: Held): Op<void> {
    if (use.at.buf.ops.getPfn) yield* this.#fw.getPfnAttachment(use.at, page, held);
    else use.tables.push(yield* this.#fw.mapAttachment(use.at, "bidirectional", held));
  }

  *#told(at: DmaBufAttachment, held: Held): Op<void> {
    const use = [...this.uses].find((u) => u.at === at);
    if (!use) return;
    use.told++;
    use.frames = 0;
    yield* point("importer");
    if (!this.behaves) yield* this.#misbehave(at, held);
    if (this.behaves || this.habit !== "keeps all") yield* this.#giveBack(use, held);
  }

  *#misbehave(at: DmaBufAttachment, held: Held): Op<void> {
    if (this.habit === "throws") throw new TypeError("a bug of the importer");
    if (this.habit === "oopses") throw new BugSignal("an oops of the importer");
    if (this.habit === "maps again") yield* this.#fw.mapAttachment(at, "to-device", held);
    if (this.habit === "wants memory_lock") yield* this.#around.lockMemory();
  }

  *#giveBack(use: Use, held: Held): Op<void> {
    for (let table = use.tables.pop(); table; table = use.tables.pop())
      yield* this.#fw.unmapAttachment(use.at, table, "bidirectional", held);
  }

  #fence(): DmaFence {
    const { env } = this.#fw;
    return new DmaFence(env, { driverName: () => "nic", timelineName: () => "queue 0" }, env.allocContexts(1), 1);
  }
}
