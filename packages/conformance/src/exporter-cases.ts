/** Everything that is tried with an exporter: its callbacks, and the calls with which it makes buffers and takes them away. */
import { type CallName, rowsOf, Scheduler } from "@dma-buf/core";
import { exporterDrives } from "./drives/exporter-drives.js";
import { exporterOrders } from "./exporter-orders.js";
import { type Case, cased, type Tried } from "./kit-case.js";
import type { CheckOptions } from "./orders.js";
import { misbehaviours } from "./misbehaviours/misbehaviours.js";
import { nthFailures } from "./nth-failure.js";
import type { ExporterSubject } from "./subject.js";
import { freshWorld, lifeOf } from "./world.js";

export function tryExporter(subject: ExporterSubject, options: CheckOptions): Tried {
  const breaches = exporterDrives.flatMap((drive) => {
    const fresh = freshWorld(new Scheduler(), subject);
    lifeOf(fresh, subject, function* (w, buf) {
      yield* drive(w, buf);
      yield* w.fw.put(buf);
    });
    return fresh.fw.breaches;
  });
  const callbacks = rowsOf(subject.contract).flatMap(([call, row]) => (row.party === "exporter" ? [call] : []));
  const tried = new Set<CallName>([...callbacks, "export", "invalidate"]);
  return { breaches, tried, more: kitCases(subject, options, breaches.length === 0) };
}

/** What no single row says: the classes of importers, under the row of invalidate, and the failures. */
function kitCases(subject: ExporterSubject, options: CheckOptions, sound: boolean): Case[] {
  const { id, rows } = subject.contract;
  const invalidate = rows.invalidate?.id ?? id;
  return [
    ...cased(invalidate, exporterOrders(subject, options), sound),
    ...cased(id, misbehaviours(subject), sound),
    ...cased(id, nthFailures(subject), sound),
  ];
}
