/**
 * The first layer of the framework: what every call needs (rows, locks, entering a callback), and a buffer's life
 * from export to release.
 */
import {
  type CallName,
  type Contract,
  type ExporterCall,
  type FrameworkCall,
  kernelName,
  type Policy,
  type Row,
} from "./contract.js";
import type { DmaBuf, DmaBufExportInfo, DmaBufOps } from "./dma-buf.js";
import type { Env, Rule } from "./env.js";
import { DmaBufError } from "./error.js";
import type { ErrnoName } from "./contracts/errno.js";
import { BugSignal, type Finding } from "./finding.js";
import { count, type Ledger, type OwnedAttachment, type OwnedBuf } from "./ledger.js";
import { isOp, isThenable, type MaySleep, type Op, perform, point, type Wait } from "./op.js";
import { DmaResv, type Held } from "./resv.js";
import { EndSignal, type Scheduler } from "./scheduler.js";
import type { Trace } from "./trace.js";

type Callback<C extends ExporterCall> = NonNullable<DmaBufOps[C]>;
type Settled<R> = R extends Generator<Wait, infer T, void> ? T : R;

const FRESH = { name: null, refs: 1, vmaps: 0, map: null, released: false } as const;

export class BufferCalls {
  readonly contract: Contract;
  readonly env: Env;
  readonly scheduler: Scheduler;
  readonly trace: Trace;
  /** Broken promises so far, in order. */
  readonly findings: readonly Finding[];
  protected readonly policy: Policy;
  readonly #live = new Set<OwnedBuf>();
  /** Released with something left that nobody can give back any more. */
  readonly #lost: OwnedBuf[] = [];
  #inos = 0;

  constructor(contract: Contract, env: Env) {
    this.contract = contract;
    this.env = env;
    this.scheduler = env.scheduler;
    this.trace = env.trace;
    this.findings = env.findings;
    this.policy = contract.policy;
    env.scheduler.observe((trouble) => {
      if (trouble.kind === "foreign")
        return this.#trouble("generator", "bug", `${trouble.task} yielded what is no Wait: yield* an Op`);
      for (const { task, site, blockedOn } of trouble.waits)
        this.#trouble(trouble.kind, "violation", `${task} waits at ${site} for ${blockedOn}`);
    });
  }

  /** What is still out. */
  get ledger(): Ledger {
    return count(this.#live, this.#lost);
  }

  /**
   * Makes a buffer with one reference, the caller's. Takes no lock, does not sleep. Size is not checked.
   * @throws DmaBufError `EINVAL`, with a `warn` finding, when the operations break the contract: no `release`, no
   * `priv`, a callback without its pair, or none of those that the policy accepts as backing; `ENOENT` when the owner
   * is unloading; `ENOMEM`.
   */
  export(info: DmaBufExportInfo): DmaBuf {
    this.#checkExport(info);
    const { exporterName, ops, sizeBytes, priv, owner = null } = info;
    if (info.resv && this.#holds(info.resv)) this.#whileHeld("export", info.resv);
    // Before the owner is held: then there is nothing to undo.
    this.env.alloc(this.rule("export"));
    if (owner && !owner.tryGet())
      throw this.error("ENOENT", "export", `the owner of ${exporterName} is unloading: load it again`);
    const given = { ...FRESH, exporterName, ops, sizeBytes, priv, owner };
    const buf: OwnedBuf = {
      ...given,
      // O_ACCMODE | O_NONBLOCK
      flags: (info.flags ?? 0) & 0o4003,
      ino: ++this.#inos,
      resv: info.resv ?? new DmaResv(`resv(${exporterName}#${this.#inos - 1})`, this.env),
      ownsResv: info.resv === undefined,
      attachments: [],
      leaked: [],
    };
    this.#live.add(buf);
    this.event("dma_buf_export", buf);
    return buf;
  }

  /** Takes a reference. Linux: `get_dma_buf()`. */
  get(buf: DmaBuf): void {
    (this.enter("get", buf) as OwnedBuf).refs++;
  }

  /** Gives a reference back; at zero the exporter's `release` runs. Linux: `dma_buf_put()`. Sleeps if `release` does. */
  *put(buf: DmaBuf): Op<void> {
    if (this.isNull(buf, "put")) return;
    this.event("dma_buf_put", this.enter("put", buf));
    yield* this.fput(buf);
  }

  /** {@link put} without its event and its check: what closing a file or a VMA does. Linux: `fput()`. */
  *fput(buf: DmaBuf): Op<void> {
    const own = this.#alive("put", buf);
    if (--own.refs > 0) return;
    // Off the list of buffers first: nobody finds it while it is released.
    this.#live.delete(own);
    own.released = true;
    if (own.attachments.length + own.leaked.length + own.vmaps > 0) this.#lost.push(own);
    if (own.vmaps > 0)
      this.bug("put", "importer", `${own.vmaps} kernel mapping(s) of ${own.exporterName} left at release`);
    yield* this.ask(own, "release", own);
    if (own.ownsResv) own.resv.fini();
    if (own.attachments.length > 0)
      this.report("warn", "put", "importer", `${own.attachments.length} attachment(s) left at release`);
    own.owner?.put();
  }

  /** The next buffer after `before`, with a reference; the one of `before` is given back. Linux: `dma_buf_iter_next()`. */
  *nextBuffer(before: DmaBuf | null): Op<DmaBuf | null> {
    const all = [...this.#live];
    const next = all[before ? all.indexOf(this.enter("nextBuffer", before) as OwnedBuf) + 1 : 0] ?? null;
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

  /**
   * What every call checks first: the buffer lives, and who calls holds its reservation, or does not, as the row says.
   * For whoever implements a call that has a row. @throws BugSignal after release: the kernel would use freed memory.
   */
  enter(call: CallName, buf: DmaBuf, held: Held | null = null): DmaBuf {
    this.#alive(call, buf);
    const rule = this.contract.rows[call]?.resv;
    if (rule === "free" && this.#holds(buf.resv)) this.#whileHeld(call, buf.resv);
    if (rule === "held" && !(held?.live && held.resv === buf.resv))
      this.report("violation", call, callerOf(call), `${call} without holding ${buf.resv.name}: lock it first`);
    return buf;
  }

  /** An event of the kernel's `dma_buf` system, in its text format. */
  event(name: string, buf: DmaBuf, more = ""): void {
    const { exporterName, sizeBytes, ino } = buf;
    this.trace.emit("tracepoint", () => `${name}: exp_name=${exporterName} size=${sizeBytes} ino=${ino}${more}`);
  }

  protected rule(call: CallName): Rule {
    const row: Partial<Row> = this.contract.rows[call] ?? {};
    const { id = `${this.contract.id}/${call}`, stage = "map", source = "this framework" } = row;
    return { id, op: kernelName(this.contract, call), stage, source };
  }

  /** `WARN_ON` with a return. */
  protected refuse(code: ErrnoName, call: CallName, message: string, values?: Record<string, unknown>): never {
    return this.env.refuse(code, this.rule(call), "importer", message, values);
  }

  protected bug(call: CallName, party: Finding["party"], message: string): never {
    return this.env.bug(this.rule(call), party, message);
  }

  /** Books a defect that the contract was posted with, when it bites. `false`: this contract has it not, and nothing is booked. */
  defect(name: string, message: string, party: Finding["party"] = "framework"): boolean {
    const defect = this.contract.defects.find((d) => d.id.endsWith(`/defect-${name}`));
    if (defect)
      this.env.report("violation", { ...defect, op: name, stage: "query" }, party, `${defect.what}: ${message}`);
    return defect !== undefined;
  }

  /** {@link enter}; and is the call allowed in the state of the attachment's life? It refuses where its row can, else it is a bug. */
  protected enterState(call: FrameworkCall, at: OwnedAttachment, held: Held | null = null): void {
    this.enter(call, at.buf, held);
    const { rows, lifeCycle } = this.contract;
    const state = at.detached ? "detached" : at.liveMaps > 0 ? "mapped" : "attached";
    if (lifeCycle[state].includes(call)) return;
    const row = rows[call];
    const rule = row
      ? `not allowed when ${state}: attach first`
      : `${this.contract.id} has no such call: use one it has`;
    if (!row || row.errors.EINVAL) this.refuse("EINVAL", call, rule);
    this.bug(call, "importer", rule);
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
    const before = this.#holds(buf.resv);
    const result = yield* this.settle(call, "exporter", buf.exporterName, () => callback.apply(buf.ops, args));
    if (this.contract.rows[call]?.resv === "free" && !before && this.#holds(buf.resv))
      this.report("violation", call, "exporter", `${buf.exporterName} returns from ${call} holding ${buf.resv.name}`);
    return result;
  }

  /**
   * Runs a callback to its end. A Promise is a bug at once. What it throws and may not is a finding; one that cannot
   * refuse, by its row, is over then: nobody could undo what it undoes. Where its task is ended, what it throws is no
   * finding, and coming back with a value does not keep the end.
   */
  protected *settle<T>(
    call: CallName,
    party: Finding["party"],
    who: string,
    act: () => MaySleep<T>,
  ): Op<T | undefined> {
    const { errors = { EINVAL: "" }, maySleep } = this.contract.rows[call] ?? {};
    const mayRefuse = Object.keys(errors).length > 0;
    const task = this.scheduler.current;
    const wasEnded = task?.state === "ended";
    const isEnded = (): boolean => task?.state === "ended" && !wasEnded;
    try {
      const result = act();
      if (isThenable(result)) this.bug(call, party, `${call} returned a Promise: return a value or a generator`);
      if (isOp(result) && maySleep === false) this.report("violation", call, party, `${call} slept: return a value`);
      const value = yield* perform(result);
      if (isEnded()) throw new EndSignal(`${call} swallowed the end of ${task?.name}`);
      return value;
    } catch (error) {
      if (isEnded() || error instanceof BugSignal || (mayRefuse && error instanceof DmaBufError)) throw error;
      this.report("violation", call, party, `${who} threw: ${String(error)}`);
      if (mayRefuse) throw error;
      return undefined;
    }
  }

  /** `WARN_ON(!dmabuf)` of a call that then does nothing. */
  protected isNull(buf: DmaBuf | null, call: CallName): boolean {
    if (!buf) this.report("warn", call, "importer", `${call} without a buffer`);
    return !buf;
  }

  #alive(call: CallName, buf: DmaBuf): OwnedBuf {
    const own = buf as OwnedBuf;
    if (own.released) this.bug(call, "importer", `${call} on ${buf.exporterName} after its last reference is gone`);
    return own;
  }

  #checkExport(info: DmaBufExportInfo): void {
    const { ops, priv, exporterName: exporter } = info;
    const bad = (why: string): never => this.env.refuse("EINVAL", this.rule("export"), "exporter", why, { exporter });
    if (!priv) bad("priv is missing: an exporter must be able to find its own state");
    if (!ops) bad("the operations are missing: an exporter is its operations");
    const has = (call: string): boolean => typeof (ops as Record<string, unknown>)[call] === "function";
    // No pair of name and row for each: a search of many orders comes here in each.
    for (const call in this.contract.rows) {
      const { party, presence, pairedWith } = this.contract.rows[call as CallName] as Row;
      if (party !== "exporter") continue;
      if (presence === "mandatory" && !has(call)) bad(`${call} is mandatory: add it to the operations`);
      if (pairedWith && has(call) !== has(pairedWith)) bad(`${call} and ${pairedWith} go together: give both or none`);
    }
    if (!this.policy.backing.some(has)) bad(`none of ${this.policy.backing.join(", ")} is there: give at least one`);
    if (ops.cacheSgtMapping && this.policy.cacheSgtMapping && ops.pin)
      bad("cacheSgtMapping and pin contradict each other: what may move cannot be kept");
  }

  #holds(resv: DmaResv): boolean {
    return resv.locked && resv.holder === this.scheduler.current;
  }

  #whileHeld(call: CallName, resv: DmaResv): void {
    this.report("violation", call, callerOf(call), `${call} while holding ${resv.name}: give it back first`);
  }

  #trouble(kind: string, level: Finding["level"], message: string): void {
    const id = `${this.contract.id}/${kind}`;
    this.env.report(level, { id, op: kind, stage: "lock", source: "every call comes back" }, "framework", message);
  }
}

/** Who calls: an exporter makes buffers and invalidates them. */
function callerOf(call: CallName): Finding["party"] {
  return call === "export" || call === "invalidate" ? "exporter" : "importer";
}
