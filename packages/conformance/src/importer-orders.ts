/** An importer's use against a revoke: afterwards nothing may be left installed, in any order. */
import type { Op } from "@dma-buf/core";
import { accepted } from "./accepted.js";
import { importerLife, type ImporterWorld } from "./importer-world.js";
import { type Race, together } from "./orders.js";
import type { ImporterSubject } from "./subject.js";

/** None for an importer that cannot be told. */
export function importerRaces(subject: ImporterSubject): Race[] {
  if (!subject.capabilities.includes("invalidate")) return [];
  return [
    { name: "use against revoke", run: (scheduler, trace) => importerLife(scheduler, subject, revokedInUse, trace) },
  ];
}

function* revokedInUse({ importer, exporter, fw }: ImporterWorld): Op<void> {
  yield* importer.attach(exporter.buf);
  yield* together(fw.scheduler, { importer: quiet(importer.use()), exporter: exporter.revoke({ wait: false }) });
  if (importer.holds() > 0)
    fw.breach("invalidateMappings", "installed what was revoked meanwhile: look again before installing");
  yield* importer.detach();
}

function* quiet(op: Op<void>): Op<void> {
  yield* accepted(op);
}
