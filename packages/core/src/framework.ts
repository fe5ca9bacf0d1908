/**
 * The dma-buf core: what exporters and importers call. It checks what the contract's rows and policy say, counts
 * references, and passes calls on. Linux: `drivers/dma-buf/dma-buf.c` of 6.13, with patch 01 of the RFC where the
 * contract has it.
 */
import type { CallName, Contract, Window } from "./contract.js";
import type { DmaBuf, DmaBufAttachment, DmaBufAttachOps, DmaBufExportInfo, PfnAnswer, SgTable } from "./dma-buf.js";
import { BugSignal, type Finding } from "./finding.js";
import type { Device } from "./host.js";
import { count, type Ledger, type OwnedAttachment, type OwnedBuf } from "./ledger.js";
import { isThenable, type MaySleep, type Op, perform } from "./op.js";
import { DmaResv, type Held } from "./resv.js";
import type { Direction } from "./run.js";
import type { Scheduler } from "./scheduler.js";
import { Rules } from "./rules.js";
import { Trace } from "./trace.js";

export interface FrameworkOptions {
  readonly contract: Contract;
  readonly scheduler: Scheduler;
  /** Keep a trace? @defaultValue true */
  readonly trace?: boolean;
}

/** Who attaches, for findings and the trace, and the importer's operations. */
export interface Importer {
  readonly name: string;
  /** `null`: a static importer. */
  readonly ops: DmaBufAttachOps | null;
}

export class Framework {
  readonly contract: Contract;
  readonly scheduler: Scheduler;
  readonly trace: Trace;
  readonly #rules: Rules;
  readonly #live = new Set<OwnedBuf>();
  #exported = 0;

  constructor(options: FrameworkOptions) {
    this.contract = options.contract;
    this.scheduler = options.scheduler;
    this.trace = new Trace(options.scheduler, options.trace ?? true);
    this.#rules = new Rules(options.contract, options.scheduler, this.trace);
  }

  /** Broken promises so far, in order. */
  get findings(): readonly Finding[] {
    return this.#rules.findings;
  }

  /** What is still out. */
  get ledger(): Ledger {
    return count(this.#live);
  }

  /**
   * Makes a buffer with one reference, the caller's. Takes no lock, does not sleep. Size is not checked.
   * @throws DmaBufError `EINVAL`, with a `warn` finding, when the operations break the contract: no `release`, no
   * `priv`, a callback without its pair, or none of those that the policy accepts as backing.
   */
  export(info: DmaBufExportInfo): DmaBuf {
    const { ops, priv } = info;
    const { rows, policy } = this.contract;
    const bad = (rule: string): never =>
      this.#rules.refuseWarn("EINVAL", "export", "export", "exporter", rule, { exporter: info.exporterName });
    if (!priv) bad("priv is missing: an exporter must be able to find its own state");
    for (const [call, row] of Object.entries(rows)) {
      if (row.party !== "exporter") continue;
      const has = (c: string): boolean => typeof (ops as Record<string, unknown>)[c] === "function";
      if (row.presence === "mandatory" && !has(call)) bad(`${call} is mandatory: add it to the operations`);
      if (row.pairedWith && has(call) !== has(row.pairedWith))
        bad(`${call} and ${row.pairedWith} go together: give both or neither`);
    }
    if (!policy.backing.some((call) => rows[call] && ops[call]))
      bad(`none of ${policy.backing.join(", ")} is there: give at least one`);
    const name = `${info.exporterName}#${this.#exported++}`;
    const resv = new DmaResv(`resv(${name})`, this.scheduler, this.trace);
    const buf: OwnedBuf = { ...info, resv, attachments: [], refs: 1, released: false };
    this.#live.add(buf);
    this.trace.emit("call", () => `dma_buf_export(${name}, ${info.sizeBytes} bytes)`);
    return buf;
  }

  /** Takes a reference. Linux: `get_dma_buf()`. */
  get(buf: DmaBuf): void {
    this.#own(buf, "get").refs++;
  }

  /** Gives a reference back; at zero the exporter's `release` runs. Linux: `dma_buf_put()`. Sleeps if `release` does. */
  *put(buf: DmaBuf): Op<void> {
    const own = this.#own(buf, "put");
    if (--own.refs > 0) return;
    this.#live.delete(own);
    own.released = true;
    if (own.attachments.length > 0)
      this.#rules.finding("warn", "put", "importer", `${own.attachments.length} attachment(s) left at release`);
    yield* this.#callback("release", "exporter", own.ops.release?.(own));
  }

  /** A static attachment: the importer brings no operations. Linux: `dma_buf_attach()`. */
  attach(buf: DmaBuf, device: Device | null, importerName: string): Op<DmaBufAttachment> {
    return this.dynamicAttach(buf, device, { name: importerName, ops: null });
  }

  /**
   * Attaches. Call without the reservation. The attachment takes no reference to the buffer: hold one as long.
   * @throws DmaBufError `EINVAL`, with a `warn` finding, without a device where the policy wants one, or for a
   * dynamic importer without the invalidate callback where that is mandatory; or what the exporter refuses with.
   */
  *dynamicAttach(buf: DmaBuf, device: Device | null, importer: Importer): Op<DmaBufAttachment> {
    this.trace.emit(
      "call",
      () => `dma_buf_dynamic_attach(${buf.exporterName}, ${device?.name ?? "no device"}) by ${importer.name}`,
    );
    const own = this.#own(buf, "dynamicAttach");
    this.#rules.expectResv("dynamicAttach", buf, null, importer.name);
    this.#checkAttach(buf, device, importer);
    const at = this.#attachment(own, device, importer);
    yield* this.#callback("attach", "exporter", buf.ops.attach?.(at));
    {
      using _held = yield* buf.resv.lock();
      own.attachments.unshift(at);
    }
    try {
      if (this.contract.policy.bridgeStatic === "at-attach") yield* this.#bridge(at);
    } catch (error) {
      yield* this.detachAttachment(buf, at);
      throw error;
    }
    return at;
  }

  /** Detaches. Call without the reservation. Linux: `dma_buf_detach()`. */
  *detachAttachment(buf: DmaBuf, attachment: DmaBufAttachment): Op<void> {
    const at = attachment as OwnedAttachment;
    if (at.buf !== buf || at.detached) {
      this.#rules.finding(
        "warn",
        "detachAttachment",
        "importer",
        `${at.importerName} detaches what is not attached here`,
      );
      return;
    }
    this.trace.emit("call", () => `dma_buf_detach(${buf.exporterName}) by ${at.importerName}`);
    this.#rules.expectResv("detachAttachment", buf, null, at.importerName);
    yield* this.#unbridge(at);
    if (at.liveMaps > 0)
      this.#rules.finding(
        "violation",
        "detachAttachment",
        "importer",
        `${at.importerName} detaches with ${at.liveMaps} mapping(s) live`,
      );
    {
      using _held = yield* buf.resv.lock();
      at.detached = true;
      const list = at.buf.attachments;
      list.splice(list.indexOf(at), 1);
    }
    yield* this.#callback("detach", "exporter", buf.ops.detach?.(at));
  }

  /**
   * Maps for the attachment's device. Call with the reservation held. Each map has one {@link unmapAttachment}.
   * The table stays the exporter's; it is valid until unmap, or until the exporter invalidates.
   * @throws DmaBufError `EINVAL` when the exporter cannot map; or what the exporter refuses with.
   */
  *mapAttachment(attachment: DmaBufAttachment, direction: Direction, held: Held): Op<SgTable> {
    const at = attachment as OwnedAttachment;
    const { buf } = at;
    this.trace.emit("call", () => `dma_buf_map_attachment(${buf.exporterName}, ${direction}) by ${at.importerName}`);
    this.#rules.expectState("mapAttachment", at);
    this.#rules.expectResv("mapAttachment", buf, held, at.importerName);
    if (!buf.ops.mapDmaBuf)
      this.#rules.refuseWarn(
        "EINVAL",
        "mapAttachment",
        "map",
        "importer",
        "the exporter has no map_dma_buf: ask for what it offers",
        {},
      );
    if (at.bridged?.table) return at.bridged.table;
    const table = yield* this.#callback("mapDmaBuf", "exporter", buf.ops.mapDmaBuf?.(at, direction, held));
    if (!table) throw this.#rules.error("ENOMEM", "mapAttachment", "map", "the exporter returned no table", {});
    at.liveMaps++;
    return table;
  }

  /** Gives a mapping back. Call with the reservation held. Cannot fail. */
  *unmapAttachment(attachment: DmaBufAttachment, table: SgTable, direction: Direction, held: Held): Op<void> {
    const at = attachment as OwnedAttachment;
    this.trace.emit("call", () => `dma_buf_unmap_attachment(${at.buf.exporterName}) by ${at.importerName}`);
    this.#rules.expectResv("unmapAttachment", at.buf, held, at.importerName);
    if (at.bridged?.table === table) return;
    if (at.liveMaps === 0) {
      this.#rules.finding("warn", "unmapAttachment", "importer", `${at.importerName} unmaps what is not mapped`);
      return;
    }
    yield* this.#callback("unmapDmaBuf", "exporter", at.buf.ops.unmapDmaBuf?.(at, table, direction, held));
    at.liveMaps--;
  }

  /** {@link mapAttachment} with the reservation taken and given back inside. Call without it. */
  *mapAttachmentUnlocked(attachment: DmaBufAttachment, direction: Direction): Op<SgTable> {
    using held = yield* attachment.buf.resv.lock();
    return yield* this.mapAttachment(attachment, direction, held);
  }

  /** {@link unmapAttachment} with the reservation taken and given back inside. Call without it. */
  *unmapAttachmentUnlocked(attachment: DmaBufAttachment, table: SgTable, direction: Direction): Op<void> {
    using held = yield* attachment.buf.resv.lock();
    yield* this.unmapAttachment(attachment, table, direction, held);
  }

  /**
   * The RFC's `dma_buf_get_pfn_unlocked()`: takes the reservation, asks, gives it back. Whoever calls it while
   * holding the reservation waits for itself. The answer is true at the instant of the call; after that only the
   * importer's own handling of invalidate keeps it from being used too late. Nothing is to be given back.
   * @throws DmaBufError `EINVAL` when the exporter has no `get_pfn`; or what the exporter refuses with.
   */
  *getPfnUnlocked(attachment: DmaBufAttachment, pgoff: number): Op<PfnAnswer> {
    const at = attachment as OwnedAttachment;
    const { buf } = at;
    this.trace.emit("call", () => `dma_buf_get_pfn_unlocked(${buf.exporterName}, page ${pgoff}) by ${at.importerName}`);
    this.#rules.expectState("getPfnUnlocked", at);
    if (!buf.ops.getPfn)
      return this.#rules.refuseWarn(
        "EINVAL",
        "getPfnUnlocked",
        "query",
        "importer",
        "the exporter has no get_pfn: map instead",
        {},
      );
    this.#rules.expectResv("getPfnUnlocked", buf, null, at.importerName);
    using held = yield* buf.resv.lock();
    return yield* this.#callback("getPfn", "exporter", buf.ops.getPfn(at, pgoff, held));
  }

  /** Pins the backing where it is. Call with the reservation held. Succeeds without pinning if the exporter has no pin. */
  *pinAttachment(attachment: DmaBufAttachment, held: Held): Op<void> {
    this.#rules.expectResv("pinAttachment", attachment.buf, held, attachment.importerName);
    yield* this.#callback("pin", "exporter", attachment.buf.ops.pin?.(attachment, held));
  }

  /** Undoes {@link pinAttachment}. Call with the reservation held. */
  *unpinAttachment(attachment: DmaBufAttachment, held: Held): Op<void> {
    this.#rules.expectResv("unpinAttachment", attachment.buf, held, attachment.importerName);
    yield* this.#callback("unpin", "exporter", attachment.buf.ops.unpin?.(attachment, held));
  }

  /**
   * Tells every importer that the backing is going, newest attachment first. Call with the reservation held.
   * Importers without the callback are passed over. Linux: `dma_buf_move_notify()` (6.13).
   */
  *invalidate(buf: DmaBuf, held: Held): Op<void> {
    this.trace.emit("call", () => `dma_buf_invalidate_mappings(${buf.exporterName})`);
    this.#rules.expectResv("invalidate", buf, held, buf.exporterName);
    for (const at of buf.attachments.slice())
      yield* this.#callback("invalidateMappings", "importer", at.importer?.invalidateMappings?.(at, held));
  }

  /** Opens the contract's view of the buffer for an importer; see `Window`. */
  open(attachment: DmaBufAttachment, direction: Direction): Op<Window> {
    return this.contract.open(this, attachment, direction);
  }

  /** A broken promise that a host or a plugin saw. `call` names the row it breaks. */
  report(level: Finding["level"], call: CallName, party: Finding["party"], message: string): void {
    this.#rules.finding(level, call, party, message);
  }

  #checkAttach(buf: DmaBuf, device: Device | null, importer: Importer): void {
    const { policy } = this.contract;
    const refuse = (rule: string): never =>
      this.#rules.refuseWarn("EINVAL", "dynamicAttach", "attach", "importer", rule, { importer: importer.name });
    const needsDevice = policy.device === "always" || buf.ops.mapDmaBuf !== undefined;
    if (!device && needsDevice) refuse(`${importer.name} has no struct device, and the exporter maps for one`);
    if (importer.ops && !importer.ops.invalidateMappings && policy.invalidate === "mandatory")
      refuse(`${importer.name} is dynamic but has no ${this.#rules.kernelName("invalidateMappings")}`);
  }

  #attachment(buf: OwnedBuf, device: Device | null, importer: Importer): OwnedAttachment {
    return {
      buf,
      device,
      importer: importer.ops,
      importerName: importer.name,
      peer2peer: importer.ops?.allowPeer2peer ?? false,
      liveMaps: 0,
      detached: false,
      bridged: null,
    };
  }

  /** 6.13: where one side is static and the other dynamic, the core pins and maps once, at attach. */
  *#bridge(at: OwnedAttachment): Op<void> {
    const { buf } = at;
    const exporterIsDynamic = buf.ops.pin !== undefined;
    if (exporterIsDynamic === (at.importer !== null)) return;
    if (!exporterIsDynamic) return; // a static exporter's first map is as good at map time; nothing observable differs
    using held = yield* buf.resv.lock();
    yield* this.pinAttachment(at, held);
    try {
      const table = buf.ops.mapDmaBuf ? yield* this.mapAttachment(at, "bidirectional", held) : null;
      at.bridged = { table, direction: "bidirectional" };
    } catch (error) {
      yield* this.unpinAttachment(at, held);
      throw error;
    }
  }

  *#unbridge(at: OwnedAttachment): Op<void> {
    const { bridged } = at;
    if (!bridged) return;
    using held = yield* at.buf.resv.lock();
    at.bridged = null;
    // Kept as posted: without a table the pin is forgotten, so an exporter with get_pfn alone leaks it.
    if (!bridged.table) return;
    yield* this.unmapAttachment(at, bridged.table, bridged.direction, held);
    yield* this.unpinAttachment(at, held);
  }

  *#callback<T>(call: CallName, party: Finding["party"], result: MaySleep<T>): Op<T> {
    if (result === undefined) return result;
    if (isThenable(result)) {
      this.#rules.finding("bug", call, party, `${call} returned a Promise: return a value or a generator`);
      throw new BugSignal(`${call} returned a Promise`);
    }
    return yield* perform(result);
  }

  #own(buf: DmaBuf, call: CallName): OwnedBuf {
    const own = buf as OwnedBuf;
    if (own.released) {
      this.#rules.finding("bug", call, "importer", `${call} on ${buf.exporterName} after its last reference is gone`);
      throw new BugSignal(`${call}: use after release`);
    }
    return own;
  }
}
