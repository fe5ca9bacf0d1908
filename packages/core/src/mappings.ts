/** The second layer: what an importer does with an attachment. Pin, map, ask for page frames, and being told to stop. */
import type { Contract, FrameworkCall } from "./contract.js";
import type { DmaBuf, DmaBufAttachment, PfnAnswer, SgTable } from "./dma-buf.js";
import { BufferCalls } from "./buffers.js";
import type { Env } from "./env.js";
import { DmaBufError } from "./error.js";
import type { LiveMap, OwnedAttachment } from "./ledger.js";
import { type Op, point, until } from "./op.js";
import type { Held, ResvGuard } from "./resv.js";
import type { Direction } from "./run.js";
import { Usage } from "./usage.js";

/** How the kernel was built. */
export interface Config {
  /** `CONFIG_DMABUF_DEBUG`: importers get a copy of the table without its pages. @defaultValue false */
  readonly debug?: boolean;
  /** `CONFIG_DMABUF_MOVE_NOTIFY`, where the contract's kernel has it. @defaultValue true */
  readonly moveNotify?: boolean;
}

export class MappingCalls extends BufferCalls {
  readonly #debug: boolean;
  readonly #moveNotify: boolean;

  constructor(contract: Contract, env: Env, config: Config) {
    super(contract, env);
    this.#debug = config.debug ?? false;
    this.#moveNotify = !contract.policy.moveNotifyOption || (config.moveNotify ?? true);
  }

  /**
   * Maps. Call with the reservation held. A static importer waits for KERNEL fences; a dynamic one must do so itself.
   * @throws DmaBufError `EINVAL` when it is not allowed in this state; `ENOMEM` when the exporter returns no table;
   * `EBUSY` when a mapping for another direction is kept; `ERESTARTSYS`; or what the exporter refuses with.
   */
  *mapAttachment(attachment: DmaBufAttachment, direction: Direction, held: Held): Op<SgTable> {
    const at = this.#attached("mapAttachment", attachment);
    const { buf } = at;
    this.trace.emit("call", () => `dma_buf_map_attachment(${buf.exporterName}, ${direction}) by ${at.importerName}`);
    this.enterState("mapAttachment", at, held);
    if (!buf.ops.mapDmaBuf)
      this.refuse("EINVAL", "mapAttachment", "the exporter has no map_dma_buf: ask for what it offers");
    if (!at.device && this.policy.device === "for-mapping")
      this.refuse("EINVAL", "mapAttachment", `${at.importerName} has no struct device: only page frames are left`);
    if (at.cached?.table) return this.#cachedTable(at.cached, direction);
    const pins = this.#pinsOnMap(at);
    if (pins) yield* this.#pin(at, held);
    let table: SgTable | null = null;
    try {
      table = yield* this.#makeMap(at, direction, held);
      if (buf.ops.cacheSgtMapping && this.policy.cacheSgtMapping) at.cached = { table, direction, pinned: false };
      return table;
    } finally {
      // Refused, or ended while the exporter never answers.
      if (pins && !table) yield* this.#unpin(at, held);
    }
  }

  /** Gives a mapping back. Call with the reservation held. Cannot fail. */
  *unmapAttachment(attachment: DmaBufAttachment, table: SgTable, direction: Direction, held: Held): Op<void> {
    const at = attachment as OwnedAttachment | null;
    const warn = (message: string): void => this.report("warn", "unmapAttachment", "importer", message);
    if (!at?.buf || !table) return warn("unmap without an attachment or a table");
    this.trace.emit("call", () => `dma_buf_unmap_attachment(${at.buf.exporterName}) by ${at.importerName}`);
    this.enter("unmapAttachment", at.buf, held);
    if (!at.buf.ops.unmapDmaBuf) return warn("the exporter has no unmap_dma_buf: nothing was mapped");
    if (at.cached?.table === table) return;
    const ended = yield* this.#endMap(at, table, direction, held);
    if (ended && this.#pinsOnMap(at)) yield* this.#unpin(at, held);
  }

  /** {@link mapAttachment} with the reservation taken and given back inside. Call without it. */
  *mapAttachmentUnlocked(attachment: DmaBufAttachment, direction: Direction): Op<SgTable> {
    const { buf } = this.#attached("mapAttachmentUnlocked", attachment);
    this.enter("mapAttachmentUnlocked", buf);
    using held = yield* buf.resv.lock();
    return yield* this.mapAttachment(attachment, direction, held);
  }

  /** {@link unmapAttachment} with the reservation taken and given back inside. Call without it. */
  *unmapAttachmentUnlocked(attachment: DmaBufAttachment, table: SgTable, direction: Direction): Op<void> {
    if (!attachment?.buf || !table)
      return this.report("warn", "unmapAttachmentUnlocked", "importer", "unmap without an attachment or a table");
    this.enter("unmapAttachmentUnlocked", attachment.buf);
    using held = yield* attachment.buf.resv.lock();
    yield* this.unmapAttachment(attachment, table, direction, held);
  }

  /**
   * Asks for a page frame. Call with the reservation held: the answer is true until it is given back.
   * @throws DmaBufError `EINVAL` when the exporter has no `get_pfn`; or what the exporter refuses with.
   */
  *getPfnAttachment(attachment: DmaBufAttachment, pgoff: number, held: Held): Op<PfnAnswer> {
    const at = this.#attached("getPfnAttachment", attachment);
    this.enterState("getPfnAttachment", at, held);
    if (!at.buf.ops.getPfn) this.refuse("EINVAL", "getPfnAttachment", "the exporter has no get_pfn: map instead");
    return (yield* this.ask(at.buf, "getPfn", at, pgoff, held)) as PfnAnswer;
  }

  /**
   * The RFC's `dma_buf_get_pfn_unlocked()`: takes the reservation, asks, gives it back. Whoever calls it while
   * holding the reservation waits for itself. The answer is true at the instant of the call; after that only the
   * importer's own handling of invalidate keeps it from being used too late. Nothing is to be given back.
   * @throws DmaBufError `EINVAL` when the exporter has no `get_pfn`; `ENOENT` when it is dynamic and the kernel was
   * built without move_notify; or what the exporter refuses with.
   */
  *getPfnUnlocked(attachment: DmaBufAttachment, pgoff: number): Op<PfnAnswer> {
    if (!attachment && this.defect("null-attach", "a call without an attachment"))
      this.bug("getPfnUnlocked", "importer", "the attachment is NULL and is read: an oops");
    const at = this.#attached("getPfnUnlocked", attachment);
    const { buf } = at;
    this.trace.emit("call", () => `dma_buf_get_pfn_unlocked(${buf.exporterName}, page ${pgoff}) by ${at.importerName}`);
    this.enterState("getPfnUnlocked", at);
    if (!buf.ops.getPfn) this.refuse("EINVAL", "getPfnUnlocked", "the exporter has no get_pfn: map instead");
    if (buf.ops.pin && !this.#moveNotify)
      throw this.error("ENOENT", "getPfnUnlocked", "the exporter moves and would tell nobody: build with move_notify");
    using held = yield* buf.resv.lock();
    if (!buf.resv.testSignaled(Usage.KERNEL)) this.defect("no-fence-wait", `${buf.exporterName}, page ${pgoff}`);
    return (yield* this.ask(buf, "getPfn", at, pgoff, held)) as PfnAnswer;
  }

  /** Pins the backing where it is. Call with the reservation held. Succeeds without pinning if the exporter has no pin. */
  *pinAttachment(attachment: DmaBufAttachment, held: Held): Op<void> {
    yield* this.#pin(this.#forPin("pinAttachment", attachment, held), held);
  }

  /** Undoes {@link pinAttachment}. Call with the reservation held. */
  *unpinAttachment(attachment: DmaBufAttachment, held: Held): Op<void> {
    const at = this.#forPin("unpinAttachment", attachment, held);
    if (at.pins > 0) return yield* this.#unpin(at, held);
    this.report("violation", "unpinAttachment", "importer", `${at.importerName} has no pin to undo`);
    // The kernel does not count: the exporter is asked all the same.
    yield* this.ask(at.buf, "unpin", at, held);
  }

  /**
   * Tells every importer that the backing is going, newest attachment first. Call with the reservation held.
   * Importers without the callback are passed over. Says nothing of why: un-revoking calls it too. The callback cannot
   * refuse: what one throws is a finding, and the next is told all the same.
   * Linux: `dma_buf_move_notify()` (6.13), `dma_buf_invalidate_mappings()` (7.3).
   */
  *invalidate(buf: DmaBuf, held: Held): Op<void> {
    this.trace.emit("call", () => `${this.rule("invalidate").op}(${buf.exporterName})`);
    this.enter("invalidate", buf, held);
    for (const at of buf.attachments.filter((a) => a.importer?.invalidateMappings)) {
      yield* point("importer.invalidateMappings");
      const { importer, importerName: who } = at;
      yield* this.settle("invalidateMappings", "importer", who, () => importer?.invalidateMappings?.(at, held));
    }
  }

  /**
   * What a revoke waits for after {@link invalidate}, by the contract's policy: the fences, with the reservation held;
   * then, the reservation given back, that every mapping was unmapped. Neither has a timeout.
   */
  *drain(buf: DmaBuf, guard: ResvGuard): Op<void> {
    if (this.policy.drain.includes("fences")) yield* buf.resv.waitTimeout(Usage.BOOKKEEP);
    guard[Symbol.dispose]();
    if (!this.policy.drain.includes("unmap")) return;
    const mapped = (): string[] => buf.attachments.flatMap((at) => (at.liveMaps > 0 ? [at.importerName] : []));
    const unmapped = (): boolean => mapped().length === 0;
    yield* until("dma_buf.unmap", unmapped, () => `unmap by ${mapped().join(", ")}`);
  }

  /** 6.13: where one side is static and the other dynamic, the core pins and maps once, at attach. */
  protected *bridge(at: OwnedAttachment): Op<void> {
    const { ops, resv } = at.buf;
    const pinned = ops.pin !== undefined;
    if (pinned === (at.importer !== null)) return;
    using held = yield* resv.lock();
    try {
      if (pinned) yield* this.#pin(at, held);
      at.cached = { table: null, direction: "bidirectional", pinned };
      if (ops.mapDmaBuf) at.cached = { ...at.cached, table: yield* this.#makeMap(at, "bidirectional", held) };
    } catch (cause) {
      at.cached = null;
      if (at.pins > 0) yield* this.#unpin(at, held);
      if (!(cause instanceof DmaBufError)) throw cause;
      const { code, message } = cause;
      throw new DmaBufError(code, { op: this.rule("dynamicAttach").op, stage: "attach", message, cause });
    }
  }

  /** Gives back what {@link bridge} took. Tells the pins that the contract, as posted, forgets. */
  protected *unbridge(at: OwnedAttachment): Op<number> {
    const { cached, buf } = at;
    if (!cached) return 0;
    // Before anything sleeps: who detaches meanwhile finds it gone.
    at.cached = null;
    using held = yield* buf.resv.lock();
    if (cached.table) yield* this.#endMap(at, cached.table, cached.direction, held);
    else if (cached.pinned && this.defect("pin-leak", `${at.importerName} detaches from ${buf.exporterName}`)) return 1;
    if (cached.pinned) yield* this.#unpin(at, held);
    return 0;
  }

  #cachedTable(cached: NonNullable<OwnedAttachment["cached"]>, direction: Direction): SgTable {
    if (direction === cached.direction || cached.direction === "bidirectional") return cached.table as SgTable;
    const rule = `kept for ${cached.direction}, asked for ${direction}: detach first, or attach once more`;
    throw this.error("EBUSY", "mapAttachment", rule, { direction });
  }

  #pinsOnMap(at: OwnedAttachment): boolean {
    if (!at.buf.ops.pin) return false;
    return this.policy.bridgeStatic === "at-map" ? at.importer === null : !this.#moveNotify;
  }

  *#pin(at: OwnedAttachment, held: Held): Op<void> {
    try {
      yield* this.ask(at.buf, "pin", at, held);
    } catch (error) {
      const forStatic = !at.importer && this.policy.bridgeStatic === "at-map";
      if (forStatic && error instanceof DmaBufError && error.code === "EBUSY")
        this.report("warn", "pin", "exporter", `${at.buf.exporterName} cannot be pinned for a static importer`);
      throw error;
    }
    at.pins++;
  }

  *#unpin(at: OwnedAttachment, held: Held): Op<void> {
    at.pins--;
    yield* this.ask(at.buf, "unpin", at, held);
  }

  *#makeMap(at: OwnedAttachment, direction: Direction, held: Held): Op<SgTable> {
    const table = yield* this.ask(at.buf, "mapDmaBuf", at, direction, held);
    if (!table) {
      this.report("violation", "mapDmaBuf", "exporter", "no table and no errno");
      throw this.error("ENOMEM", "mapAttachment", "the exporter returned no table: it has no memory");
    }
    if (at.buf.attachments.some((other) => (other as OwnedAttachment).maps.some((m) => m.table === table)))
      this.report("violation", "mapDmaBuf", "exporter", "a table that is out already: make a new one each time");
    const live: LiveMap = { shown: this.#debug ? { runs: table.runs } : table, table, direction };
    at.maps.push(live);
    at.liveMaps++;
    try {
      if (!at.importer) yield* at.buf.resv.waitTimeout(Usage.KERNEL, { interruptible: true });
      if (this.#debug) this.env.alloc(this.rule("mapAttachment"));
    } catch (error) {
      yield* this.#endMap(at, live.shown, direction, held);
      throw error;
    }
    return live.shown;
  }

  *#endMap(at: OwnedAttachment, shown: SgTable, direction: Direction, held: Held): Op<boolean> {
    const index = at.maps.findIndex((m) => m.shown === shown);
    const [live] = index < 0 ? [] : at.maps.splice(index, 1);
    if (!live) {
      this.report("violation", "unmapAttachment", "importer", `${at.importerName} unmaps what is not mapped`);
      return false;
    }
    if (live.direction !== direction)
      this.report("violation", "unmapAttachment", "importer", `mapped ${live.direction}, unmapped ${direction}`);
    yield* this.ask(at.buf, "unmapDmaBuf", at, live.table, direction, held);
    at.liveMaps--;
    return true;
  }

  #attached(call: FrameworkCall, attachment: DmaBufAttachment | null): OwnedAttachment {
    if (!attachment?.buf) this.refuse("EINVAL", call, "no attachment: attach first");
    return attachment as OwnedAttachment;
  }

  #forPin(call: "pinAttachment" | "unpinAttachment", attachment: DmaBufAttachment, held: Held): OwnedAttachment {
    if (!attachment) this.bug(call, "importer", "the attachment is NULL and is read: an oops");
    const at = attachment as OwnedAttachment;
    if (!at.importer) this.report("warn", call, "importer", `${at.importerName} is static: its maps are pinned for it`);
    this.enterState(call, at, held);
    return at;
  }
}
