/** Everything that is tried with an importer: its callback, and the calls that it makes. */
import { type CallName, Scheduler } from "@dma-buf/core";
import { importerDrives } from "./drives/importer-drives.js";
import { importerRaces } from "./importer-orders.js";
import { importerLife } from "./importer-world.js";
import type { Tried } from "./kit-case.js";
import { type CheckOptions, searchOrders } from "./orders.js";
import type { ImporterSubject } from "./subject.js";

export function tryImporter(subject: ImporterSubject, options: CheckOptions): Tried {
  const tried = new Set<CallName>(["invalidateMappings"]);
  const breaches = importerDrives.flatMap((drive) => {
    const fw = importerLife(new Scheduler(), subject, drive);
    for (const call of fw.made) if (call !== "invalidate") tried.add(call);
    return fw.breaches;
  });
  const searches = importerRaces(subject).map((race) => searchOrders(race, options));
  return {
    breaches: [...breaches, ...searches.flatMap((s) => s.breaches)],
    tried,
    orders: searches.map((s) => s.orders).join("; "),
    more: [],
  };
}
