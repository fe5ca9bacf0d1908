/**
 * The first layer of the framework: what every call needs (rows, locks, entering a callback), and a buffer's life
 * from export to release.
 */
import { type CallName, type Contract, type ExporterCall, kernelName, type Policy, rowsOf } from "./contract.js";
import type { DmaBuf, DmaBufExportInfo, DmaBufOps } from "./dma-buf.js";
import type { Env, Rule } from "./env.js";
import type { DmaBufError } from "./error.js";
import type { ErrnoName } from "./contracts/errno.js";
import type { Finding } from "./finding.js";
import { count, type Ledger, type OwnedAttachment, type OwnedBuf } from "./ledger.js";
import { isOp, isThenable, type MaySleep, type Op, perform, point, type Wait } from "./op.js";
import { DmaResv, type Held } from "./resv.js";
import type { Scheduler } from "./scheduler.js";
import type { Trace } from "./trace.js";

type Callback<C extends ExporterCall> = NonNullable<DmaBufOps[C]>;
type Settled<R> = R extends Generator<Wait, infer T, void> ? T : R;

/** `O_ACCMODE | O_NONBLOCK` */
const FLAGS_KEPT = 0o4003;

export class BufferCalls {
  readonly contract: Contract;
  readonly env: Env;
  readonly #live = new Set<OwnedBuf>();
  #inos = 0;

  constructor(contract: Contract, env: Env) {
    this.contract = contract;
    this.env = env;
    env.scheduler.observe((trouble) => {
      if (trouble.kind === "foreign")
        return this.#trouble("generator", "bug", `${trouble.task} yielded what is no Wait: yield* an Op`);
      for (const { task, site, blockedOn } of trouble.waits)
        this.#trouble(trouble.kind, "violation", `${task} waits at ${site} for ${blockedOn}`);
    });
  }

  get scheduler(): Scheduler {
    return this.env.scheduler;
  }

  get trace(): Trace {
    return this.env.trace;
  }

  /** Broken promises so far, in order. */
  get findings(): readonly Finding[] {
    return this.env.findings;
  }

  /** What is still out. */
  get ledger(): Ledger {
    return count(this.#live);
  }

  /**
   * Makes a buffer with one reference, the caller's. Takes no lock, does not sleep. Size is not checked.
   * @throws DmaBufError `EINVAL`, with a `warn` finding, when the operations break the contract: no `release`, no
   * `priv`, a callback without its pair, or none of those that the policy accepts as backing; `ENOENT` when the owner
   * is unloading; `ENOMEM`.
   */
  export(info: DmaBufExportInfo): DmaBuf {
    this.#checkExport(info);
    const { exporterName, owner = null } = info;
    const values = { exporter: exporterName };
    if (owner && !owner.tryGet())
      throw this.error("ENOENT", "export", `the owner of ${exporterName} is unloading: load it again`, values);
    try {
      this.env.alloc(this.rule("export"));
    } catch (error) {
      owner?.put();
      throw error;
    }
    const buf: OwnedBuf = {
      ...info,
      owner,
      flags: (info.flags ?? 0) & FLAGS_KEPT,
      ino: ++this.#inos,
      name: null,
      resv: info.resv ?? new DmaResv(`resv(${exporterName}#${this.#inos - 1})`, this.env),
      ownsResv: info.resv === undefined,
      attachments: [],
      refs: 1,
      vmaps: 0,
      map: null,
      polls: { in: false, out: false },
      released: false,
    };
    this.#live.add(buf);
    this.event("dma_buf_export", buf);
    return buf;
  }

  /** Takes a reference. Linux: `get_dma_buf()`. */
  get(buf: DmaBuf): void {
    this.own(buf, "get").refs++;
  }

  /** Gives a reference back; at zero the exporter's `release` runs. Linux: `dma_buf_put()`. Sleeps if `release` does. */
  *put(buf: DmaBuf): Op<void> {
    if (this.isNull(buf, "put")) return;
    const own = this.own(buf, "put");
    this.event("dma_buf_put", own);
    if (--own.refs > 0) return;
    // Off the list of buffers first: nobody finds it while it is released.
    this.#live.delete(own);
    own.released = true;
    if (own.vmaps > 0)
      this.bug("put", "importer", `${own.vmaps} kernel mapping(s) of ${own.exporterName} left at release`);
    if (own.polls.in || own.polls.out)
      this.bug("put", "framework", `a poll of ${own.exporterName} is armed at release`);
    yield* this.ask(own, "release", own);
    if (own.ownsResv) own.resv.fini();
    if (own.attachments.length > 0)
      this.report("warn", "put", "importer", `${own.attachments.length} attachment(s) left at release`);
    own.owner?.put();
  }

  /** The next buffer after `before`, with a reference; the one of `before` is given back. Linux: `dma_buf_iter_next()`. */
  *nextBuffer(before: DmaBuf | null): Op<DmaBuf | null> {
    const all = [...this.#live];
    const next = all[before ? all.indexOf(before as OwnedBuf) + 1 : 0] ?? null;
    if (next) this.get(next);
    if (before) yield* this.put(before);
    return next;
  }

  /** A broken promise that a host or a plugin saw. `call` names the row it breaks. */
  report(level: Finding["level"], call: CallName, party: Finding["party"], message: string): void {
    this.env.report(level, this.rule(call), party, message);
  }

  /** A refusal under the row of `call`, for the caller to throw. */
  error(code: ErrnoName, call: CallName, message: string, values?: Record<string, unknown>): DmaBufError {
    return this.env.error(code, this.rule(call), message, values);
  }

  protected get policy(): Policy {
    return this.contract.policy;
  }

  protected rule(call: CallName): Rule {
    const row = this.contract.rows[call];
    const id = row?.id ?? `${this.contract.id}/${call}`;
    const { stage = "map", source = "this framework" } = row ?? {};
    return { id, op: kernelName(this.contract, call), stage, source };
  }

  /** `WARN_ON` with a return. */
  protected refuse(code: ErrnoName, call: CallName, message: string, values?: Record<string, unknown>): never {
    return this.env.refuse(code, this.rule(call), "importer", message, values);
  }

  protected bug(call: CallName, party: Finding["party"], message: string): never {
    return this.env.bug(this.rule(call), party, message);
  }

  /** Books a defect that the contract was posted with. `false`: this contract has it not. */
  protected defect(name: string, message: string): boolean {
    const defect = this.contract.defects.find((d) => d.id.endsWith(`/defect-${name}`));
    if (defect)
      this.env.report("violation", { ...defect, op: name, stage: "query" }, "framework", `${defect.what}: ${message}`);
    return defect !== undefined;
  }

  /** Both directions of the lock rule: who must hold it shows a live proof, who must not does not hold it. */
  protected expectResv(call: CallName, buf: DmaBuf, held: Held | null, who: string): void {
    const rule = this.contract.rows[call]?.resv ?? "either";
    if (rule === "held" && !(held?.live && held.resv === buf.resv))
      this.report("violation", call, "importer", `${who} calls ${call} without holding ${buf.resv.name}`);
    if (rule === "free" && this.#holds(buf))
      this.report("violation", call, "importer", `${who} holds ${buf.resv.name} and calls ${call}, which takes it`);
  }

  /** Is the call allowed in the state of the attachment's life? @throws DmaBufError `EINVAL`, with a `warn` finding */
  protected expectState(call: "mapAttachment" | "getPfnAttachment" | "getPfnUnlocked", at: OwnedAttachment): void {
    const state = at.detached ? "detached" : at.liveMaps > 0 ? "mapped" : "attached";
    if (!this.contract.lifeCycle[state].includes(call))
      this.refuse("EINVAL", call, `not allowed when ${state}: attach first`);
  }

  /** Enters an exporter's callback, if there is one. Entering is a schedule point. */
  protected *ask<C extends ExporterCall>(
    buf: DmaBuf,
    call: C,
    ...args: Parameters<Callback<C>>
  ): Op<Settled<ReturnType<Callback<C>>> | undefined> {
    const callback = buf.ops[call] as ((...args: unknown[]) => MaySleep<Settled<ReturnType<Callback<C>>>>) | undefined;
    if (!callback) return undefined;
    yield* point(`exporter.${call}`);
    const result = yield* this.settle(call, "exporter", callback.apply(buf.ops, args));
    if (this.contract.rows[call]?.resv === "free" && this.#holds(buf))
      this.report("violation", call, "exporter", `${buf.exporterName} returns from ${call} holding ${buf.resv.name}`);
    return result;
  }

  /** Runs what a callback gave back to its end. A Promise is a bug at once. */
  protected *settle<T>(call: CallName, party: Finding["party"], result: MaySleep<T>): Op<T> {
    if (isThenable(result)) this.bug(call, party, `${call} returned a Promise: return a value or a generator`);
    if (isOp(result) && this.contract.rows[call]?.maySleep === false)
      this.report("violation", call, party, `${call} must not sleep: return a value`);
    return yield* perform(result);
  }

  /** An event of the kernel's `dma_buf` system, in its text format. */
  protected event(name: string, buf: DmaBuf, more = ""): void {
    const { exporterName, sizeBytes, ino } = buf;
    this.trace.emit("tracepoint", () => `${name}: exp_name=${exporterName} size=${sizeBytes} ino=${ino}${more}`);
  }

  /** `WARN_ON(!dmabuf)` of a call that then does nothing. */
  protected isNull(buf: DmaBuf | null, call: CallName): boolean {
    if (!buf) this.report("warn", call, "importer", `${call} without a buffer`);
    return !buf;
  }

  /** @throws BugSignal after release: the kernel would use freed memory. */
  protected own(buf: DmaBuf, call: CallName): OwnedBuf {
    const own = buf as OwnedBuf;
    if (own.released) this.bug(call, "importer", `${call} on ${buf.exporterName} after its last reference is gone`);
    return own;
  }

  #checkExport(info: DmaBufExportInfo): void {
    const { ops, priv, exporterName } = info;
    const bad = (rule: string): never =>
      this.env.refuse("EINVAL", this.rule("export"), "exporter", rule, { exporter: exporterName });
    if (!priv) bad("priv is missing: an exporter must be able to find its own state");
    if (!ops) bad("the operations are missing: an exporter is its operations");
    const has = (call: string): boolean => typeof (ops as Record<string, unknown>)[call] === "function";
    const rows = rowsOf(this.contract).filter(([, row]) => row.party === "exporter");
    for (const [call, row] of rows)
      if (row.presence === "mandatory" && !has(call)) bad(`${call} is mandatory: add it to the operations`);
    for (const [call, { pairedWith }] of rows)
      if (pairedWith && has(call) !== has(pairedWith))
        bad(`${call} and ${pairedWith} go together: give both or neither`);
    if (!this.policy.backing.some(has)) bad(`none of ${this.policy.backing.join(", ")} is there: give at least one`);
    if (ops.cacheSgtMapping && this.policy.cacheSgtMapping && ops.pin)
      bad("cacheSgtMapping and pin contradict each other: what may move cannot be kept");
  }

  #holds(buf: DmaBuf): boolean {
    return buf.resv.locked && buf.resv.holder === this.scheduler.current;
  }

  #trouble(kind: string, level: Finding["level"], message: string): void {
    const id = `${this.contract.id}/${kind}`;
    this.env.report(level, { id, op: kind, stage: "lock", source: "every call comes back" }, "framework", message);
  }
}
