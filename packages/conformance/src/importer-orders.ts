/** An importer's calls against an exporter that takes the memory: nothing of it may be left installed, in any order. */
import { type Op, Scheduler } from "@dma-buf/core";
import { accepted } from "./accepted.js";
import { importerLife, importerWorld, type ImporterWorld } from "./importer-world.js";
import { placeReached } from "./reached.js";
import { IN_TURN_STEPS, type Race, together } from "./orders.js";
import type { ImporterSubject } from "./subject.js";
import { Watch } from "./watch.js";
import { type Way, WAYS } from "./world.js";

/** Steps after which the search of a longer race gives up. */
const LONGER_STEPS = 10_000;

/** None for an importer that cannot be told. The first is the callback's own. */
export function importerRaces(subject: ImporterSubject): Race[] {
  if (!subject.capabilities.includes("invalidate")) return [];
  const race = (name: string, live: (w: ImporterWorld) => Op<void>, stepsMax = LONGER_STEPS): Race => ({
    name,
    stepsMax,
    run: (scheduler, trace = false) => importerLife(scheduler, subject, live, { trace }),
  });
  const races = [
    race("use against revoke", revokedInUse, IN_TURN_STEPS),
    race("attach and use against revoke", revokedWhileItAttaches),
    race("detach against revoke", revokedWhileItDetaches),
  ];
  if (!importerWorld(new Scheduler(), subject).importer.reaches) return races;
  const way = (name: Way): Race => race(`use and access against ${name}`, (w) => watched(w, name));
  const {
    contract: { rows },
    jobsWait = false,
  } = subject;
  const later = race("use and access against move copied later", copiedLater);
  // Who fills a CPU mapping waits for the copy itself.
  return [...races, ...WAYS.map(way), ...(!jobsWait && (rows.mapDmaBuf || rows.getPfn) ? [later] : [])];
}

function* revokedInUse({ importer, exporter, fw }: ImporterWorld): Op<void> {
  yield* importer.attach(exporter.buf);
  yield* together(fw.scheduler, { importer: quiet(importer.use()), exporter: exporter.revoke({ wait: false }) });
  if (importer.holds() > 0)
    fw.breach("invalidateMappings", "installed what was revoked meanwhile: look again before installing");
  yield* importer.detach();
}

/** The callback comes before there is anything to look through, or between attaching and using. */
function* revokedWhileItAttaches(w: ImporterWorld): Op<void> {
  const { importer, exporter, fw } = w;
  let attached = false;
  yield* all(w, { importer: attachAndUse(), exporter: exporter.revoke({ wait: false }) });
  if (importer.holds() > 0)
    fw.breach("invalidateMappings", "installed what was revoked while it attached: look again before installing");
  if (attached) yield* importer.detach();

  function* attachAndUse(): Op<void> {
    attached = yield* accepted(importer.attach(exporter.buf));
    if (attached) yield* quiet(importer.use());
  }
}

/** Both give back what was mapped: each once. */
function* revokedWhileItDetaches(w: ImporterWorld): Op<void> {
  const { importer, exporter } = w;
  yield* importer.attach(exporter.buf);
  yield* importer.use();
  yield* all(w, { importer: importer.detach(), exporter: exporter.revoke() });
}

/** From when the exporter has waited, an access behind any step must not reach what was taken. */
function* watched(w: ImporterWorld, way: Way): Op<void> {
  const { importer, exporter } = w;
  yield* importer.attach(exporter.buf);
  const watch = new Watch(w);
  yield* all(w, { importer: quiet(importer.use()), exporter: watch.take(way) }, watch.access);
  watch.judge("an access behind all that");
  // What was overtaken may be refused once more: then it looks again.
  if (way === "move" && !(yield* accepted(importer.use()))) yield* importer.use();
  watch.judge("an access after the next use()");
  yield* importer.detach();
}

/** The reservation is given back before the bytes are at the new place: until the fence signals, nobody may look there. */
function* copiedLater(w: ImporterWorld): Op<void> {
  const { importer, exporter, fw } = w;
  yield* importer.attach(exporter.buf);
  yield* importer.use();
  let early = false;
  yield* all(w, { importer: quiet(importer.use()), exporter: quiet(exporter.move({ copied: "later" })) }, () => {
    early ||= exporter.copying && placeReached(w, 0) === exporter.physical;
  });
  if (early) fw.breach("invalidateMappings", "an access reaches what is not copied yet: wait for KERNEL fences");
  yield* importer.detach();
  fw.forgetPosted();
}

/** Side by side. Nobody may be thrown at. */
function* all({ fw }: ImporterWorld, ops: Readonly<Record<string, Op<void>>>, behindEach?: () => void): Op<void> {
  for (const { name, state, error } of yield* together(fw.scheduler, ops, behindEach))
    if (state === "failed") fw.breach("invalidateMappings", `${name} fails: ${String(error)}`);
}

function* quiet(op: Op<void>): Op<void> {
  yield* accepted(op);
}
