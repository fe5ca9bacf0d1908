/** The pool with threads that are none: they say what a test wants them to say, when it wants them to. */
import { EventEmitter } from "node:events";
import { setImmediate } from "node:timers/promises";
import type { MessagePort } from "node:worker_threads";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Lost, Order, Plan, Report, WorkerData } from "./messages.js";
import { compareInParallel, type OnResult, type PoolOptions } from "./pool.js";
import type { CompareRequest } from "./request.js";

/** What threads do next: with themselves, and with an order. */
let begins: (thread: Thread) => void;
let runs: (thread: Thread, order: Order) => void;
let hired: Thread[] = [];

/** As much of a worker as the pool sees. */
class Thread extends EventEmitter {
  readonly stdout = new EventEmitter();
  readonly #port: MessagePort;

  constructor({ port }: WorkerData) {
    super();
    this.#port = port;
    hired.push(this);
    port.on("message", (order: Order) => runs(this, order));
    begins(this);
  }

  say(report: Report): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
    this.#port.postMessage(report);
  }

  /** Cells of a row, from the first on, as texts: the pool does not look at results. */
  ran(row: number, ...cells: readonly number[]): this {
    for (const cell of cells) this.say({ is: "result", row, cell, result: `${row}.${cell}` as unknown as never });
    return this;
  }

  endsRow(): this {
    this.say({ is: "row-done" });
    return this;
  }

  /** Before the pool has heard what it said last. */
  exits(): void {
    this.emit("exit", 1);
  }

  terminate(): Promise<number> {
    this.#port.close();
    this.exits();
    return Promise.resolve(1);
  }
}

vi.mock("node:worker_threads", async (original) => ({
  ...(await original<object>()),
  Worker: function (_file: URL, { workerData }: { readonly workerData: WorkerData }) {
    return new Thread(workerData);
  },
}));

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
  hired = [];
});

/** A cell of ours, and one with a stranger in it. */
const OURS: Lost = null;
const THEIRS = { hung: "hung", gone: "gone" } as unknown as Lost;

const isFirst = (thread: Thread): boolean => thread === hired[0];

/** The rest of a row of so many cells. */
function rest(thread: Thread, { row, from }: Order, cells: number): void {
  thread.ran(row, ...Array.from({ length: cells - from }, (_, i) => from + i)).endsRow();
}

/** The results of this plan where somebody's code runs, so that all of it runs in threads: one. */
async function results(
  rows: Plan["rows"],
  options: PoolOptions = {},
  onResult?: OnResult,
  races: Plan["races"] = rows.map(() => false),
): Promise<readonly unknown[]> {
  const plan: Plan = { is: "plan", machine: "none", contracts: ["mine"], rows, races };
  begins = (thread) => thread.say(plan);
  return run(options, THEIR_REQUEST, onResult);
}

const THEIR_REQUEST: CompareRequest = { contractModules: ["mine.mjs"] };

async function run(options: PoolOptions, request = THEIR_REQUEST, onResult?: OnResult): Promise<readonly unknown[]> {
  const worker = new URL("file:///none.mjs");
  return (await compareInParallel(request, onResult, { workers: 1, worker, ...options })).results;
}

describe("a thread that is gone", () => {
  it("in a cell of somebody's loses that cell: another goes on after it", async () => {
    runs = (thread, order) => (isFirst(thread) ? thread.ran(0, 0).exits() : rest(thread, order, 3));
    expect(await results([[THEIRS, THEIRS, THEIRS]])).toEqual(["0.0", "gone", "0.2"]);
  });

  it("in a cell of ours loses none: another begins with it", async () => {
    runs = (thread, order) => (isFirst(thread) ? thread.ran(0, 0).exits() : rest(thread, order, 3));
    expect(await results([[THEIRS, OURS, THEIRS]])).toEqual(["0.0", "0.1", "0.2"]);
  });

  it("in a cell of ours is bad use, where the next one is gone there too", async () => {
    runs = (thread) => (isFirst(thread) ? thread.ran(0, 0) : thread).exits();
    await expect(results([[THEIRS, OURS]])).rejects.toThrow(/^mine\.mjs: ended the thread that loaded it/);
  });

  it("and had ended its row gets no other, and loses no cell of it", async () => {
    runs = (thread, order) => (isFirst(thread) ? thread.ran(0, 0).endsRow().exits() : rest(thread, order, 1));
    expect(await results([[THEIRS], [THEIRS]])).toEqual(["0.0", "1.0"]);
  });

  it("with nothing left to do is missed by nobody, while another still runs", async () => {
    runs = (thread, order) => {
      if (order.row === 0) setTimeout(() => rest(thread, order, 1));
      else rest(thread, order, 1);
    };
    const goes: OnResult = (_, done) => {
      if (done === 1) queueMicrotask(() => hired[1]?.exits());
    };
    expect(await results([[OURS], [OURS]], { workers: 2 }, goes)).toEqual(["0.0", "1.0"]);
    expect(hired.length).toBe(2);
  });

  it("in the last cell of all is not replaced", async () => {
    runs = (thread) => thread.exits();
    expect([await results([[THEIRS]]), hired.length]).toEqual([["gone"], 1]);
  });

  it.each<[string, readonly Report[]]>([
    ["before it has a plan", []],
    ["before its plan was heard", [{ is: "plan", machine: "none", contracts: ["mine"], rows: [[THEIRS]], races: [] }]],
  ])("%s is bad use", async (_when, said) => {
    begins = (thread) => {
      for (const report of said) thread.say(report);
      queueMicrotask(() => thread.exits());
    };
    await expect(run({})).rejects.toThrow(/^mine\.mjs: ended the thread that loaded it/);
  });

  it("where no code of anybody else runs is our mistake", async () => {
    begins = (thread) => thread.endsRow();
    runs = (thread) => thread.exits();
    await expect(run({ workers: 2 }, {})).rejects.toThrow("a thread of the comparison ended by itself");
    expect(hired.length).toBe(1);
  });
});

describe("a thread that is late", () => {
  /** What the process used up while nobody heard of the thread. */
  function timeGoesBy(patiences: number, cpuMs: number): void {
    vi.spyOn(process, "cpuUsage").mockReturnValue({ user: cpuMs * 1000, system: 0 });
    vi.advanceTimersByTime(patiences * PATIENCE_MS);
  }

  const PATIENCE_MS = 100;
  const options: PoolOptions = { patienceMs: PATIENCE_MS };
  const faked = (): unknown => vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });

  it.each([
    ["and uses its patience up is lost", 1, PATIENCE_MS, "hung"],
    ["has time left while other processes keep it waiting", 9, 0, "0.0"],
    ["and never comes is lost, though nobody ran in the meantime", 10, 0, "hung"],
  ])("%s", async (_what, patiences, cpuMs, end) => {
    faked();
    runs = (thread, order) => {
      timeGoesBy(patiences, cpuMs);
      rest(thread, order, 1);
    };
    expect(await results([[THEIRS]], options)).toEqual([end]);
  });

  it("in a cell of ours is waited for", async () => {
    faked();
    runs = (thread, order) => {
      timeGoesBy(1, PATIENCE_MS);
      rest(thread, order, 1);
    };
    expect(await results([[OURS]], options)).toEqual(["0.0"]);
    expect(hired.length).toBe(1);
  });

  it("is not lost where this one was: what it has said meanwhile is heard first", async () => {
    faked();
    runs = (thread, order) => {
      thread.ran(0, 0);
      timeGoesBy(1, PATIENCE_MS);
      rest(thread, { ...order, from: 1 }, 2);
    };
    expect(await results([[THEIRS, THEIRS]], options)).toEqual(["0.0", "0.1"]);
    expect(hired.length).toBe(1);
  });

  it("before it has a plan is bad use, after longer than a cell may take", async () => {
    faked();
    begins = () => {};
    const said: unknown[] = [];
    const over = run(options).catch((error: unknown) => said.push(error));
    timeGoesBy(299, 1e6);
    await setImmediate();
    expect(said).toEqual([]);
    timeGoesBy(1, 1e6);
    await over;
    expect(String(said[0])).toMatch(/mine\.mjs: loading it does not end/);
  });
});

it("rows with a race are begun first, and told of in the order of the plan", async () => {
  const seen: unknown[] = [];
  runs = (thread, order) => rest(thread, order, 1);
  const rows = [[OURS], [OURS], [OURS]];
  expect(await results(rows, {}, (result) => seen.push(result), [false, true, false])).toEqual(["0.0", "1.0", "2.0"]);
  expect(seen).toEqual(["1.0", "0.0", "2.0"]);
});

it("a mistake in scenarios is told before a thread begins", async () => {
  const scenarioDirs = [import.meta.dirname];
  await expect(run({}, { ...THEIR_REQUEST, scenarioDirs })).rejects.toThrow(/has no scenario/);
  expect(hired.length).toBe(0);
});

it.each([0, 1.5, Number.NaN])("%d threads are bad use", async (workers) => {
  await expect(results([], { workers })).rejects.toThrow(/workers must be a whole number from 1 on/);
});
