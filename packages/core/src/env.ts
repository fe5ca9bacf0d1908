/** What every object of the core has around it: the scheduler, the trace, the findings, an allocator that may fail. */
import { syncRows } from "./contracts/sync.js";
import { DmaBufError, type Stage } from "./error.js";
import type { ErrnoName } from "./contracts/errno.js";
import { BugSignal, type Finding } from "./finding.js";
import type { Scheduler } from "./scheduler.js";
import { Trace } from "./trace.js";

/** A rule that can be broken or that refuses: a row of a contract, or of the tables of reservation and fence. */
export interface Rule {
  /** The requirement's id. */
  readonly id: string;
  /** The kernel's name of the call, for an error's `op`. */
  readonly op: string;
  /** Where in the life of a buffer it refuses. */
  readonly stage: Stage;
  readonly source: string;
}

/** What a world may be told about itself. */
export interface EnvOptions {
  /** Keep a trace? @defaultValue true */
  readonly trace?: boolean;
  /** Does this allocation fail? Asked with the call's name: fault injection. @defaultValue never */
  readonly allocFails?: (op: string) => boolean;
}

/**
 * One world. No state of the core lives outside of an `Env`, so two of them in a process share nothing.
 * @example
 * const env = new Env(new Scheduler());
 * const resv = new DmaResv("R", env);
 */
export class Env {
  readonly scheduler: Scheduler;
  readonly trace: Trace;
  /** Broken promises so far, in order. */
  readonly findings: Finding[] = [];
  readonly #allocFails: (op: string) => boolean;
  #contexts = 1;
  #stamps = 0;

  constructor(scheduler: Scheduler, options: EnvOptions = {}) {
    this.scheduler = scheduler;
    this.trace = new Trace(scheduler, options.trace ?? true);
    this.#allocFails = options.allocFails ?? (() => false);
  }

  /** `n` consecutive fence contexts; the first. Linux: `dma_fence_context_alloc()`; 0 is the stub's. */
  allocContexts(n: number): number {
    if (n === 0) this.report("warn", syncRows.contextAlloc, "exporter", "no context was asked for");
    this.#contexts += n;
    return this.#contexts - n;
  }

  /** The next acquire context's stamp: smaller is older. */
  nextStamp(): number {
    return ++this.#stamps;
  }

  /** Books a broken promise. */
  report(level: Finding["level"], rule: Rule, party: Finding["party"], message: string): void {
    const { current, steps } = this.scheduler;
    const { id: requirement, source } = rule;
    this.findings.push({ level, requirement, party, message, source, task: current?.name ?? "set-up", step: steps });
    this.trace.emit("finding", () => `${level} ${requirement}: ${message}`);
  }

  /** A refusal, for the caller to throw. */
  error(code: ErrnoName, rule: Rule, message: string, values: Record<string, unknown> = {}): DmaBufError {
    this.trace.emit("refused", () => `${code} at ${rule.stage}: ${message}`);
    return new DmaBufError(code, { op: rule.op, stage: rule.stage, message, values });
  }

  /** What the kernel does under `WARN_ON` with a return: a finding, and an errno. */
  refuse(
    code: ErrnoName,
    rule: Rule,
    party: Finding["party"],
    message: string,
    values: Record<string, unknown> = {},
  ): never {
    this.report("warn", rule, party, message);
    throw this.error(code, rule, message, values);
  }

  /** `BUG_ON`, or an oops: a finding, and the end of the task. */
  bug(rule: Rule, party: Finding["party"], message: string): never {
    this.report("bug", rule, party, message);
    throw new BugSignal(`${rule.op}: ${message}`);
  }

  /** @throws DmaBufError `ENOMEM` where an allocation was told to fail. */
  alloc(rule: Rule): void {
    if (this.#allocFails(rule.op)) throw this.error("ENOMEM", rule, "no memory: give some back, or retry later");
  }
}
