/**
 * The scheduler owns every step: a task runs from one yield to the next and nothing else ever runs in between.
 * Which task goes next is asked of a {@link Strategy}; that is the only freedom in a run, so a run is repeated by
 * repeating the answers.
 */
import type { Op, Wait } from "./op.js";
import { arrivalOrder, type Strategy } from "./strategy.js";

/** Something that runs: a vCPU, an ioctl, a revoke. Its fields change only while the scheduler steps it. */
export interface Task<T = unknown> {
  readonly id: number;
  readonly name: string;
  readonly state: "runnable" | "done" | "failed" | "ended";
  /** Where it stands; `null` before its first step and after its last. */
  readonly wait: Wait | null;
  /** Its value once `done`. */
  readonly result: T | undefined;
  /** What it threw once `failed`. */
  readonly error: unknown;
}

/** One task of a deadlock: where it waits and for whom. */
export interface Waiting {
  readonly task: string;
  readonly site: string;
  readonly blockedOn: string;
}

/** How a run ended. `deadlock` and `step-limit` have ended their remaining tasks: every `finally` ran. */
export type RunEnd =
  | { readonly kind: "done" }
  | { readonly kind: "deadlock"; readonly waits: readonly Waiting[] }
  | { readonly kind: "step-limit"; readonly stepsMax: number };

interface Cell extends Task {
  state: Task["state"];
  wait: Wait | null;
  result: unknown;
  error: unknown;
  readonly op: Op<unknown>;
}

/** Runs tasks, one step at a time, in the order that its strategy chooses. */
export class Scheduler {
  readonly #strategy: Strategy;
  readonly #stepsMax: number;
  readonly #tasks: Cell[] = [];
  #current: Cell | null = null;
  #steps = 0;
  #ids = 0;

  constructor(strategy: Strategy = arrivalOrder(), stepsMax = 1_000_000) {
    this.#strategy = strategy;
    this.#stepsMax = stepsMax;
  }

  /** The task whose step is being taken; `null` outside a step. */
  get current(): Task | null {
    return this.#current;
  }

  /** Steps taken so far: the model's only notion of time. */
  get steps(): number {
    return this.#steps;
  }

  /** Adds a task. Nothing of it runs before {@link run}. */
  spawn<T>(name: string, op: Op<T>): Task<T> {
    const cell: Cell = {
      id: this.#ids++,
      name,
      op,
      state: "runnable",
      wait: null,
      result: undefined,
      error: undefined,
    };
    this.#tasks.push(cell);
    return cell as Task<T>;
  }

  /** Runs until every task is done, none can go on, or the limit of steps is reached. */
  run(): RunEnd {
    for (;;) {
      const live = this.#tasks.filter((t) => t.state === "runnable");
      if (live.length === 0) return this.#finish({ kind: "done" });
      const ready = live.filter((t) => t.wait?.ready?.() ?? true);
      if (ready.length === 0) return this.#finish({ kind: "deadlock", waits: live.map(waiting) });
      if (this.#steps >= this.#stepsMax) return this.#finish({ kind: "step-limit", stepsMax: this.#stepsMax });
      const chosen = ready.length === 1 ? 0 : this.#strategy.pick(ready);
      const task = ready[chosen];
      if (!task) throw new RangeError(`strategy chose task ${chosen} of ${ready.length} that can run`);
      this.#step(task);
    }
  }

  /** Runs one operation to its end and gives its value back, or throws what it threw. For edges and tests. */
  complete<T>(name: string, op: Op<T>): T {
    const task = this.spawn(name, op);
    const end = this.run();
    if (task.state === "failed") throw task.error;
    if (task.state !== "done") throw new StuckError(name, end);
    return task.result as T;
  }

  /** Ends a task where it stands: its `finally` runs, its locks come back. Does nothing to one that is over. */
  end(task: Task): void {
    const cell = this.#tasks.find((t) => t === task);
    if (cell?.state === "runnable") this.#unwind(cell);
  }

  #step(task: Cell): void {
    this.#steps++;
    this.#current = task;
    try {
      const { done, value } = task.op.next();
      task.wait = done ? null : value;
      if (done) Object.assign(task, { state: "done", result: value });
    } catch (error) {
      Object.assign(task, { state: "failed", wait: null, error });
    } finally {
      this.#current = null;
    }
  }

  #finish(end: RunEnd): RunEnd {
    for (const task of this.#tasks) if (task.state === "runnable") this.#unwind(task);
    this.#tasks.length = 0;
    return end;
  }

  /** A `finally` may itself yield; a task that is being ended cannot wait, so those yields are passed over. */
  #unwind(task: Cell): void {
    const outer = this.#current;
    this.#current = task;
    try {
      for (let r = task.op.return(undefined), n = 0; !r.done && n < 1000; n++) r = task.op.next();
      task.state = "ended";
    } catch (error) {
      Object.assign(task, { state: "failed", error });
    } finally {
      task.wait = null;
      this.#current = outer;
    }
  }
}

/** `complete` could not: the operation waits for something that nobody will give. */
export class StuckError extends Error {
  override readonly name = "StuckError";
  readonly end: RunEnd;
  constructor(task: string, end: RunEnd) {
    super(`${task} did not end: ${describeEnd(end)}`);
    this.end = end;
  }
}

/** A run's end in one line. */
export function describeEnd(end: RunEnd): string {
  if (end.kind === "done") return "done";
  if (end.kind === "step-limit") return `stopped after ${end.stepsMax} steps`;
  return end.waits.map((w) => `${w.task} waits at ${w.site} for ${w.blockedOn}`).join("; ");
}

function waiting(task: Cell): Waiting {
  const wait = task.wait;
  return {
    task: task.name,
    site: wait?.site ?? "start",
    blockedOn: wait?.blockedOn?.() ?? "a condition nobody fulfils",
  };
}
