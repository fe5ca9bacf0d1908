/** Everything that is tried with an importer: its callback, the calls that it makes, and what others do to it. */
import { type CallName, Scheduler } from "@dma-buf/core";
import { importerDrives } from "./drives/importer-drives.js";
import { importerFailures } from "./importer-failures.js";
import { importerRaces } from "./importer-orders.js";
import { importerLife } from "./importer-world.js";
import { cased, type KitCase, type Tried } from "./kit-case.js";
import { lies } from "./lies/lies.js";
import { type CheckOptions, type Race, searchOrders } from "./orders.js";
import { messages } from "./recorder.js";
import { refusesCase } from "./refuses.js";
import type { ImporterSubject } from "./subject.js";

export function tryImporter(subject: ImporterSubject, options: CheckOptions): Tried {
  if (subject.refuses) return { breaches: [], tried: new Set(), more: [refusesCase(subject, subject.refuses)] };
  const tried = new Set<CallName>(["invalidateMappings"]);
  const driven = importerDrives.flatMap((drive) => {
    const fw = importerLife(new Scheduler(), subject, drive);
    for (const call of fw.made) if (call !== "invalidate") tried.add(call);
    return fw.breaches;
  });
  const [callback, ...races] = importerRaces(subject);
  const search = callback && searchOrders(callback, options);
  const breaches = [...driven, ...(search?.breaches ?? [])];
  const sound = breaches.length === 0;
  const { id, rows } = subject.contract;
  const more = [
    ...cased(
      rows.invalidateMappings?.id ?? id,
      races.map((race) => raceCase(race, options)),
      sound,
    ),
    ...cased(id, [...lies(subject), ...importerFailures(subject)], sound),
  ];
  return { breaches, tried, orders: search?.orders ?? "", more };
}

function raceCase(race: Race, options: CheckOptions): KitCase {
  return {
    name: race.name.replaceAll(" ", "-"),
    run() {
      const { breaches, orders } = searchOrders(race, options);
      return { title: orders, breaches: messages(breaches) };
    },
  };
}
