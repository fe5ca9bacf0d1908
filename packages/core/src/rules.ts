/** A contract's rows and life cycle at run time: what was promised, held against what is done. */
import type { CallName, Contract } from "./contract.js";
import type { DmaBuf } from "./dma-buf.js";
import { DmaBufError, type ErrnoName, type Stage } from "./error.js";
import type { Finding } from "./finding.js";
import type { OwnedAttachment } from "./ledger.js";
import type { Held } from "./resv.js";
import type { Scheduler } from "./scheduler.js";
import type { Trace } from "./trace.js";

export class Rules {
  readonly findings: Finding[] = [];
  readonly #contract: Contract;
  readonly #scheduler: Scheduler;
  readonly #trace: Trace;

  constructor(contract: Contract, scheduler: Scheduler, trace: Trace) {
    this.#contract = contract;
    this.#scheduler = scheduler;
    this.#trace = trace;
  }

  /** Both directions of the lock rule: who must hold it shows a live proof, who must not does not hold it. */
  expectResv(call: CallName, buf: DmaBuf, held: Held | null, who: string): void {
    const rule = this.#contract.rows[call]?.resv ?? "either";
    const mine = buf.resv.locked && buf.resv.holder === this.#scheduler.current;
    if (rule === "held" && !(held?.live && held.resv === buf.resv))
      this.finding("violation", call, "importer", `${who} calls ${call} without holding ${buf.resv.name}`);
    if (rule === "free" && mine)
      this.finding(
        "violation",
        call,
        "importer",
        `${who} calls ${call} while holding ${buf.resv.name}, which it takes itself`,
      );
  }

  /** Is the call allowed in the state of the attachment's life? @throws DmaBufError `EINVAL`, with a `warn` finding */
  expectState(call: "mapAttachment" | "getPfnUnlocked", at: OwnedAttachment): void {
    const state = at.detached ? "detached" : at.liveMaps > 0 ? "mapped" : "attached";
    if (!this.#contract.lifeCycle[state].includes(call))
      this.refuseWarn(
        "EINVAL",
        call,
        call === "mapAttachment" ? "map" : "query",
        "importer",
        `not allowed when ${state}`,
        {},
      );
  }

  /** What the kernel calls it, in the version that the contract extends. */
  kernelName(call: CallName): string {
    const names = this.#contract.rows[call]?.kernelName ?? {};
    return names[this.#contract.base] ?? Object.values(names)[0] ?? call;
  }

  #requirement(call: CallName): string {
    return this.#contract.rows[call]?.id ?? `${this.#contract.id}/${call}`;
  }

  /** A refusal, for the caller to throw. */
  error(code: ErrnoName, call: CallName, stage: Stage, rule: string, values: Record<string, unknown>): DmaBufError {
    const error = new DmaBufError(code, { op: this.kernelName(call), stage, message: rule, values });
    this.#trace.emit("refused", () => `${error.code} at ${stage}: ${rule}`);
    return error;
  }

  /** What the kernel does under `WARN_ON`: a finding, and an errno. */
  refuseWarn(
    code: ErrnoName,
    call: CallName,
    stage: Stage,
    party: Finding["party"],
    rule: string,
    values: Record<string, unknown>,
  ): never {
    this.finding("warn", call, party, rule);
    throw this.error(code, call, stage, rule, values);
  }

  /** Books a broken promise under the row of `call`. */
  finding(level: Finding["level"], call: CallName, party: Finding["party"], message: string): void {
    const row = this.#contract.rows[call];
    const { current, steps } = this.#scheduler;
    this.findings.push({
      level,
      requirement: this.#requirement(call),
      party,
      message,
      source: row?.source ?? "this framework",
      task: current?.name ?? "set-up",
      step: steps,
    });
    this.#trace.emit("finding", () => `${level} ${this.#requirement(call)}: ${message}`);
  }
}
