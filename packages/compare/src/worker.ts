/** The thread that runs rows of a comparison, one order of its pool after the other. */
import { parentPort, workerData } from "node:worker_threads";
import { UsageError } from "./compare.js";
import type { Runnable } from "./contained.js";
import type { Lost, Order, Report, WorkerData } from "./messages.js";
import { type Prepared, prepare } from "./request.js";
import type { Scenario } from "./scenario/scenario.js";

const say = (report: Report): void => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
  parentPort?.postMessage(report);
};

/** What was thrown is the pool's to throw again. */
async function telling(act: () => void | Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    say(error instanceof UsageError ? { is: "bad-use", message: error.message } : { is: "mistake", error });
  }
}

function plan({ machine, contracts, scenarios, row }: Prepared): Report {
  return { is: "plan", machine, contracts, rows: scenarios.map((scenario) => row(scenario).map(lost)) };
}

function lost(cell: Runnable): Lost {
  if (cell.strangers.length === 0) return null;
  const hung = cell.failed("HANG", "did not come back: it neither ends nor yields");
  return { hung, gone: cell.failed("CRASH", "took the whole thread down with it") };
}

function run({ scenarios, row }: Prepared, { row: at, from }: Order): void {
  row(scenarios[at] as Scenario).forEach((cell, i) => {
    if (i >= from) say({ is: "result", row: at, cell: i, result: cell.result() });
  });
  say({ is: "row-done" });
}

void telling(async () => {
  const prepared = await prepare((workerData as WorkerData).request);
  parentPort?.on("message", (order: Order) => void telling(() => run(prepared, order)));
  say(plan(prepared));
});
