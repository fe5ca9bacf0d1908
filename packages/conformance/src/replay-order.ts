/** One order once more, with what happened in it. */
import { replay, Scheduler, type TraceEvent } from "@dma-buf/core";
import { exporterRaces } from "./exporter-orders.js";
import { importerRaces } from "./importer-orders.js";
import { messages } from "./recorder.js";
import type { ExporterSubject, ImporterSubject } from "./subject.js";

/** What an order showed when it was replayed. */
export interface Replayed {
  readonly breaches: readonly string[];
  /** Calls, locks, fences and accesses, in order, each with its task. */
  readonly trace: readonly TraceEvent[];
}

/**
 * Runs the order again that `check` found: a breach names its `race` and its `token`. Stop at it in a debugger, or print
 * the trace.
 * @throws RangeError when the plugin has no such race, or the token is none, or stale: the plugin has changed since
 * @example
 * const { breaches, trace } = replayOrder(subject, "zap: revoke against attach, map and access", "dbs1:0.1");
 * breaches; // []
 * trace.some((event) => event.task === "exporter" && event.text === "revoke() returned"); // true
 */
export function replayOrder(subject: ExporterSubject | ImporterSubject, race: string, token: string): Replayed {
  const races = subject.kind === "exporter" ? exporterRaces(subject) : importerRaces(subject);
  const found = races.find((r) => r.name === race);
  if (!found) {
    const names = races.map((r) => r.name).join(", ") || "none";
    throw new RangeError(`${subject.name} has no race "${race}": give one of those it has, ${names}`);
  }
  const strategy = replay(token);
  strategy.begin();
  const { breaches, trace } = found.run(new Scheduler(strategy), true);
  return { breaches: messages(breaches), trace: trace.events };
}
