/** The comparison on all cores: rows go to worker threads, and what one of them does not come back from is a verdict. */
import { availableParallelism } from "node:os";
import { setImmediate } from "node:timers/promises";
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from "node:worker_threads";
import { UsageError } from "./compare.js";
import type { Lost, Order, Plan, Report, WorkerData } from "./messages.js";
import { catalogueOf, type CompareRequest, hasModules, prepare } from "./request.js";
import { planOf } from "./planned.js";
import { played } from "./report/traced.js";
import type { Comparison, Result } from "./result.js";
import type { Scenario } from "./scenario/scenario.js";
import { watchdog } from "./watchdog.js";

/** A thread that starts has packages to load, from a disk that may be slow. */
const LOADING_MS = 30_000;

/** Told of each cell when it is done, in the order in which they end. */
export type OnResult = (result: Result, done: number, of: number) => void;

export interface PoolOptions {
  /** Threads, with this one where no code of anybody else runs. @defaultValue half of what can run at once */
  readonly workers?: number;
  /**
   * How long a cell with somebody else's code in it may take before it is a `HANG`; ten times as long where it does not run,
   * as on a machine that is busy with other things. The one clock there is: code that does not yield cannot be stopped otherwise.
   * @defaultValue 10_000, and 120_000 where all orders are tried
   */
  readonly patienceMs?: number;
  /** Where the worker is. @defaultValue beside this file */
  readonly worker?: URL;
}

/**
 * As `compare`, of a request that names modules instead of bringing objects: the same results in the same order.
 * @throws UsageError, ScenarioError
 * @example
 * const { results } = await compareInParallel({ scenarios: ["S34c"] }, (_, done, of) => console.error(`${done}/${of}`));
 */
export async function compareInParallel(
  request: CompareRequest = {},
  onResult: OnResult = () => {},
  options: PoolOptions = {},
): Promise<Comparison> {
  const worker = options.worker ?? besideThis();
  return worker ? new Pool(request, onResult, worker, options).run() : inThisThread(request, onResult);
}

/** In sources there is no worker that Node can run. */
function besideThis(): URL | null {
  const [ending] = /\.c?js$/.exec(import.meta.url) ?? [];
  return ending ? new URL(`./worker${ending}`, import.meta.url) : null;
}

async function inThisThread(request: CompareRequest, onResult: OnResult): Promise<Comparison> {
  const { machine, contracts, scenarios, row } = await prepare(request);
  const cells = scenarios.flatMap(row);
  const results = cells.map((cell, i) => {
    const result = played(cell, request);
    onResult(result, i + 1, cells.length);
    return result;
  });
  return { schemaVersion: 2, machine, contracts, results };
}

/** Half of what there is: the other half compiles what runs for the first time, and collects garbage. */
function defaultWorkers(): number {
  return Math.max(1, Math.floor(availableParallelism() / 2));
}

/** One thread, and what it is at. */
interface Hand {
  readonly worker: Worker;
  readonly port: MessagePort;
  isLoaded: boolean;
  /** The cell that it runs; `null`: it waits for an order. */
  at: { readonly row: number; readonly cell: number } | null;
  /** Ends the watch over it. */
  unwatch: () => void;
}

class Pool {
  readonly #request: CompareRequest;
  readonly #onResult: OnResult;
  readonly #file: URL;
  readonly #workers: number;
  readonly #patienceMs: number;
  readonly #hands = new Set<Hand>();
  readonly #orders: Order[] = [];
  #plan: Plan | null = null;
  #results: Result[][] = [];
  #done = 0;
  #doneAtLoss = -1;
  #resolve: (comparison: Comparison) => void = () => {};
  #reject: (error: unknown) => void = () => {};

  constructor(request: CompareRequest, onResult: OnResult, file: URL, options: PoolOptions) {
    const { workers = defaultWorkers(), patienceMs = request.orders === "all" ? 120_000 : 10_000 } = options;
    if (!(Number.isSafeInteger(workers) && workers >= 1))
      throw new UsageError(`workers must be a whole number from 1 on, is ${workers}`);
    this.#request = request;
    this.#onResult = onResult;
    this.#file = file;
    this.#workers = workers;
    this.#patienceMs = patienceMs;
  }

  async run(): Promise<Comparison> {
    // A mistake in a scenario is told here, as the error that it is.
    if (this.#request.scenarioDirs) catalogueOf(this.#request);
    try {
      return await new Promise((resolve, reject) => {
        this.#resolve = resolve;
        this.#reject = reject;
        // Who may not come back does not get this thread.
        const joins = !hasModules(this.#request);
        for (let i = Number(joins); i < this.#workers; i++) this.#hire();
        if (joins) this.#joinIn().catch(reject);
      });
    } finally {
      this.#orders.length = 0;
      await Promise.all([...this.#hands].map((hand) => this.#dismiss(hand)));
    }
  }

  #hire(): void {
    const { port1: port, port2 } = new MessageChannel();
    const workerData: WorkerData = { request: this.#request, port: port2 };
    const worker = new Worker(this.#file, { workerData, transferList: [port2], stdout: true });
    const hand: Hand = { worker, port, isLoaded: false, at: null, unwatch: () => {} };
    this.#hands.add(hand);
    // The answer alone is for stdout; what modules print is not.
    worker.stdout.on("data", (bytes: Uint8Array) => process.stderr.write(bytes));
    port.on("message", (report: Report) => this.#hear(hand, report));
    worker.on("error", (error) => this.#lose(hand, "gone", error));
    worker.on("exit", () => this.#lose(hand, "gone", ended(this.#request)));
    const loadingMs = Math.max(this.#patienceMs, LOADING_MS);
    if (hasModules(this.#request)) this.#watch(hand, notLoaded(this.#request), loadingMs);
  }

  #dismiss(hand: Hand): Promise<number> {
    hand.unwatch();
    this.#hands.delete(hand);
    hand.port.close();
    return hand.worker.terminate();
  }

  #hear(hand: Hand, report: Report): void {
    hand.unwatch();
    if (report.is === "bad-use") this.#reject(new UsageError(report.message));
    else if (report.is === "mistake") this.#reject(report.error);
    else if (report.is === "result") this.#book(hand, report.result);
    else this.#next(hand, report.is === "plan" ? report : null);
  }

  /** Every thread makes the same plan; the first that is heard counts. */
  #next(hand: Hand, plan: Plan | null): void {
    hand.isLoaded = true;
    if (plan && !this.#plan) this.#begin(plan);
    const order = this.#orders.shift();
    hand.at = order ? { row: order.row, cell: order.from } : null;
    if (!order) return;
    this.#watchCell(hand);
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
    hand.port.postMessage(order);
  }

  #begin(plan: Plan): void {
    this.#plan = plan;
    this.#results = plan.rows.map(() => []);
    for (const isRace of [true, false])
      plan.rows.forEach((_, row) => {
        if (plan.races[row] === isRace) this.#orders.push({ row, from: 0 });
      });
    this.#finishIfDone();
  }

  /** This thread is there already, while others are still loading: it takes rows too, and hears the others in between. */
  async #joinIn(): Promise<void> {
    const prepared = await prepare(this.#request);
    if (!this.#plan) this.#begin(planOf(prepared));
    for (let order = this.#orders.shift(); order; order = this.#orders.shift()) {
      const { row } = order;
      const cells = prepared.row(prepared.scenarios[row] as Scenario);
      cells.forEach((cell, i) => this.#keep({ row, cell: i }, played(cell, this.#request)));
      await setImmediate();
    }
  }

  #book(hand: Hand, result: Result): void {
    const at = hand.at as NonNullable<Hand["at"]>;
    hand.at = { row: at.row, cell: at.cell + 1 };
    this.#watchCell(hand);
    this.#keep(at, result);
  }

  #keep({ row, cell }: NonNullable<Hand["at"]>, result: Result): void {
    (this.#results[row] as Result[])[cell] = result;
    this.#onResult(result, ++this.#done, this.#total);
    this.#finishIfDone();
  }

  #watchCell(hand: Hand): void {
    if (this.#lostAt(hand)) this.#watch(hand, new Error("a cell does not end"));
  }

  #watch(hand: Hand, error: Error, patienceMs: number = this.#patienceMs): void {
    hand.unwatch = watchdog(patienceMs, () => this.#lose(hand, "hung", error));
  }

  #lostAt({ at }: Hand): Lost {
    return (at && this.#plan?.rows[at.row]?.[at.cell]) ?? null;
  }

  /** A thread does not come back: the cell that it ran ends so, and another thread takes the rest of the row. */
  #lose(hand: Hand, how: "hung" | "gone", error: unknown): void {
    if (!this.#hands.has(hand)) return;
    const hasSaid = this.#hearRest(hand, how === "gone");
    // It was this thread that was late.
    if (how === "hung" && hasSaid) return;
    const { at, isLoaded } = hand;
    void this.#dismiss(hand);
    if (!isLoaded) return this.#reject(error);
    if (!at && this.#orders.length === 0) return;
    const lost = this.#lostAt(hand);
    if (at && lost) this.#keep(at, lost[how]);
    else if (!this.#isForgiven()) return this.#reject(error);
    if (at) this.#orders.unshift({ row: at.row, from: at.cell + Number(lost !== null) });
    if (this.#done < this.#total) this.#hire();
  }

  /** What it had sent before it was lost; who is gone gets no more orders. */
  #hearRest(hand: Hand, isGone: boolean): boolean {
    let heard = 0;
    for (let rest = receiveMessageOnPort(hand.port); rest; rest = receiveMessageOnPort(hand.port)) {
      heard++;
      const report = rest.message as Report;
      if (isGone && report.is === "row-done") hand.at = null;
      else if (!isGone || report.is !== "plan") this.#hear(hand, report);
    }
    return heard > 0;
  }

  /** What modules left running in a thread may end it in a cell of ours: another takes over, if any cell was done meanwhile. */
  #isForgiven(): boolean {
    const isForgiven = hasModules(this.#request) && this.#doneAtLoss !== this.#done;
    this.#doneAtLoss = this.#done;
    return isForgiven;
  }

  get #total(): number {
    return this.#plan?.rows.reduce((sum, cells) => sum + cells.length, 0) ?? 0;
  }

  #finishIfDone(): void {
    if (!this.#plan || this.#done < this.#total) return;
    const { machine, contracts } = this.#plan;
    this.#resolve({ schemaVersion: 2, machine, contracts, results: this.#results.flat() });
  }
}

function notLoaded(request: CompareRequest): UsageError {
  return new UsageError(`${moduleNames(request)}: loading it does not end: a module exports, and runs nothing`);
}

/** Outside of a cell: where modules run, it was one of them. */
function ended(request: CompareRequest): Error {
  if (!hasModules(request)) return new Error("a thread of the comparison ended by itself");
  return new UsageError(`${moduleNames(request)}: ended the thread that loaded it: a module exports, and runs nothing`);
}

function moduleNames({ contractModules = [], exporterModules = [], importerModules = [] }: CompareRequest): string {
  return [...contractModules, ...exporterModules, ...importerModules].join(", ");
}
