/**
 * The scheduler owns every step: a task runs from one yield to the next and nothing else ever runs in between.
 * Which task goes next is asked of a {@link Strategy}; that is the only freedom in a run, so a run is repeated by
 * repeating the answers. Time is modelled: it stands still while anybody can run, and then jumps to the next deadline.
 */
import { isThenable, type Op, type Wait } from "./op.js";
import { arrivalOrder, type Strategy } from "./strategy.js";

/** Something that runs: a vCPU, an ioctl, a revoke. Its fields change only while the scheduler steps it. */
export interface Task<T = unknown> {
  readonly id: number;
  readonly name: string;
  readonly state: "runnable" | "done" | "failed" | "ended";
  /** Where it stands; `null` before its first step and after its last. */
  readonly wait: Wait | null;
  /** Was it sent a signal? Interruptible waits end with `EINTR` or `ERESTARTSYS`. */
  readonly signalPending: boolean;
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
  | { readonly kind: "step-limit"; readonly stepsMax: number; readonly waits: readonly Waiting[] };

/** What an observer is told: a run did not end by itself, or a task yielded what is no `Wait`. */
export type Trouble = Exclude<RunEnd, { kind: "done" }> | { readonly kind: "foreign"; readonly task: string };

interface Cell extends Task {
  state: Task["state"];
  wait: Wait | null;
  signalPending: boolean;
  result: unknown;
  error: unknown;
  readonly op: Op<unknown>;
}

/**
 * Runs tasks, one step at a time, in the order that its strategy chooses.
 * @example
 * const scheduler = new Scheduler(seeded(7));
 * const framework = new Framework({ contract: linux73, scheduler });
 * const task = scheduler.spawn("bufinfo", framework.nextBuffer(null));
 * scheduler.run(); // { kind: "done" }
 * task.result; // null
 */
export class Scheduler {
  readonly #strategy: Strategy;
  readonly #stepsMax: number;
  readonly #observers: ((trouble: Trouble) => void)[] = [];
  readonly #live: Cell[] = [];
  #current: Cell | null = null;
  #last: Cell | null = null;
  #steps = 0;
  #now = 0;
  #ids = 0;

  constructor(strategy: Strategy = arrivalOrder(), stepsMax = 1_000_000) {
    this.#strategy = strategy;
    this.#stepsMax = stepsMax;
  }

  /** The task whose step is being taken; `null` outside a step. */
  get current(): Task | null {
    return this.#current;
  }

  /** Steps taken so far. */
  get steps(): number {
    return this.#steps;
  }

  /** The modelled time, in ticks (a jiffy where the kernel counts jiffies). Starts at 0. */
  get now(): number {
    return this.#now;
  }

  /** Tells `observer` of each deadlock, step limit and foreign yield, before any task is ended. */
  observe(observer: (trouble: Trouble) => void): void {
    this.#observers.push(observer);
  }

  /** Adds a task. Nothing of it runs before {@link run}. */
  spawn<T>(name: string, op: Op<T>): Task<T> {
    const open = { wait: null, signalPending: false, result: undefined, error: undefined } as const;
    const cell: Cell = { id: this.#ids++, name, op, state: "runnable", ...open };
    this.#live.push(cell);
    return cell as Task<T>;
  }

  /** Sends a signal: interruptible waits of the task end. It stays pending. */
  signal(task: Task): void {
    (task as Cell).signalPending = true;
  }

  /** Runs until every task is done, none can go on, or the limit of steps is reached. */
  run(): RunEnd {
    for (;;) {
      if (this.#live.length === 0) return { kind: "done" };
      const ready = this.#ready();
      if (ready.length === 0 && this.#pass(this.#live)) continue;
      if (ready.length === 0) return this.#stuck("deadlock");
      if (this.#steps >= this.#stepsMax) return this.#stuck("step-limit");
      const chosen = ready.length === 1 ? 0 : this.#strategy.pick(ready, this.#last);
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

  /** Who can run. Mostly everybody: then nothing is made. */
  #ready(): readonly Cell[] {
    for (const { wait } of this.#live) if (!this.#isReady(wait)) return this.#live.filter((t) => this.#isReady(t.wait));
    return this.#live;
  }

  #isReady(wait: Wait | null): boolean {
    return !wait?.ready || wait.ready() || (wait.deadline !== undefined && wait.deadline <= this.#now);
  }

  /** Nobody can run: time jumps to the next deadline. `false`: there is none. */
  #pass(tasks: readonly Cell[]): boolean {
    const next = Math.min(...tasks.map((t) => t.wait?.deadline ?? Infinity));
    if (next < Infinity) this.#now = next;
    return next < Infinity;
  }

  #step(task: Cell): void {
    this.#steps++;
    this.#current = this.#last = task;
    try {
      const { done, value } = task.op.next();
      if (done) over(task, "done", value);
      else task.wait = checkYield(value);
    } catch (error) {
      if (error instanceof ForeignYieldError) {
        this.#tell({ kind: "foreign", task: task.name });
        this.#unwind([task]);
      }
      over(task, "failed", undefined, error);
    }
    this.#current = null;
    if (task.state !== "runnable") this.#live.splice(this.#live.indexOf(task), 1);
  }

  #stuck(kind: "deadlock" | "step-limit"): RunEnd {
    const waits = this.#live.map(waiting);
    const end = kind === "deadlock" ? { kind, waits } : { kind, stepsMax: this.#stepsMax, waits };
    this.#tell(end);
    this.#unwind(this.#live.splice(0));
    return end;
  }

  #tell(trouble: Trouble): void {
    for (const observer of this.#observers) observer(trouble);
  }

  /**
   * Throws an {@link EndSignal} into each task where it stands, and lets each go on as long as it has to give back. Who
   * goes on too long is closed: no `catch` sees that.
   */
  #unwind(tasks: readonly Cell[]): void {
    for (const task of tasks) this.#resume(task, (op) => op.throw(new EndSignal(`${task.name} is ended`)));
    this.#resumeAll(tasks, (op) => op.next());
    this.#resumeAll(tasks, (op) => op.return(undefined));
  }

  /** In turn, until none is left. Where nobody can go on and no deadline comes, a wait is passed over. */
  #resumeAll(tasks: readonly Cell[], how: Resume): void {
    for (let n = 0; n < UNWIND_STEPS * tasks.length; n++) {
      const left = tasks.filter((t) => t.wait);
      if (left.length === 0) return;
      const ready = left.filter((t) => this.#isReady(t.wait));
      if (ready.length === 0 && this.#pass(left)) continue;
      const able = ready.length > 0 ? ready : left;
      this.#resume(able[n % able.length] as Cell, how);
    }
  }

  /** One step of a task that is ended. What it yields may be no `Wait`: that is passed over. */
  #resume(task: Cell, how: Resume): void {
    this.#current = task;
    over(task, "ended");
    try {
      const { done, value } = how(task.op);
      if (!done) task.wait = value ?? { site: "nowhere", ready: null };
    } catch (error) {
      if (!(error instanceof EndSignal)) over(task, "failed", undefined, error);
    }
    this.#current = null;
  }
}

type Resume = (op: Op<unknown>) => IteratorResult<Wait>;

/** Steps that each ended task has, on average, to give back what it holds; as many again while it is closed. */
const UNWIND_STEPS = 1000;

/**
 * Ends a task whose run did not end by itself, where it stands. A `catch` that takes everything sees it too: throw it on.
 * @example
 * scheduler.spawn("waits", (function* () {
 *   try {
 *     yield* until("for ever", () => false);
 *   } catch (error) {
 *     error instanceof EndSignal; // true
 *     throw error;
 *   }
 * })());
 * scheduler.run().kind; // "deadlock"
 */
export class EndSignal extends Error {
  override readonly name = "EndSignal";
}

/**
 * A task yielded a Promise or another value that the scheduler did not make: it can be suspended by `Wait` alone.
 * @example
 * const task = scheduler.spawn("async", (function* () {
 *   yield Promise.resolve();
 * })());
 * scheduler.run();
 * task.error instanceof ForeignYieldError; // true
 */
export class ForeignYieldError extends Error {
  override readonly name = "ForeignYieldError";
}

/**
 * `complete` could not: the operation waits for something that nobody will give.
 * @example
 * try {
 *   scheduler.complete("reader", until("for ever", () => false));
 * } catch (error) {
 *   error instanceof StuckError && error.end.kind; // "deadlock"
 * }
 */
export class StuckError extends Error {
  override readonly name = "StuckError";
  readonly end: RunEnd;
  constructor(task: string, end: RunEnd) {
    super(`${task} did not end: ${describeEnd(end)}`);
    this.end = end;
  }
}

/**
 * A run's end in one line.
 * @example
 * describeEnd(scheduler.run()); // "done"
 */
export function describeEnd(end: RunEnd): string {
  if (end.kind === "done") return "done";
  const waits = end.waits.map((w) => `${w.task} waits at ${w.site} for ${w.blockedOn}`).join("; ");
  return end.kind === "deadlock" ? waits : `stopped after ${end.stepsMax} steps: ${waits}`;
}

function checkYield(value: Wait): Wait {
  if (typeof (value as Partial<Wait> | undefined)?.site === "string") return value;
  const what = isThenable(value) ? "a Promise" : typeof value;
  throw new ForeignYieldError(`a task yielded ${what}: yield* an Op, or return a value`);
}

function over(task: Cell, state: Task["state"], result?: unknown, error?: unknown): void {
  Object.assign(task, { state, wait: null, result, error });
}

function waiting(task: Cell): Waiting {
  const { wait } = task;
  return { task: task.name, site: wait?.site ?? "start", blockedOn: wait?.blockedOn?.() ?? "its turn" };
}
