/** The thread that runs rows of a comparison, one order of its pool after the other. */
import { workerData } from "node:worker_threads";
import { UsageError } from "./compare.js";
import type { Order, Report, WorkerData } from "./messages.js";
import { planOf } from "./planned.js";
import { hasModules, type Prepared, prepare } from "./request.js";
import { played } from "./report/traced.js";
import { ScenarioError } from "./scenario/error.js";
import type { Scenario } from "./scenario/scenario.js";

const LATE = ["unhandledRejection", "uncaughtException"] as const;

const { request, port } = workerData as WorkerData;
// Modules see the same object: nobody but this file speaks to the pool.
Reflect.deleteProperty(workerData as WorkerData, "port");

const say = (report: Report): void => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
  port.postMessage(report);
};

/** What was thrown is the pool's to throw again. */
async function telling(act: () => void | Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    const isBadUse = error instanceof UsageError || error instanceof ScenarioError;
    say(isBadUse ? { is: "bad-use", message: error.message } : { is: "mistake", error });
  }
}

function run({ scenarios, row }: Prepared, { row: at, from }: Order): void {
  row(scenarios[at] as Scenario).forEach((cell, i) => {
    if (i >= from) say({ is: "result", row: at, cell: i, result: played(cell, request) });
  });
  say({ is: "row-done" });
}

void telling(async () => {
  // Cells run to their end at once: what fails later is a Promise or a timer that a stranger has left behind.
  if (hasModules(request)) for (const late of LATE) process.on(late, () => {});
  const prepared = await prepare(request);
  port.on("message", (order: Order) => void telling(() => run(prepared, order)));
  say(planOf(prepared));
});
