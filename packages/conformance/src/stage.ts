/** Where an exporter is raced: importers of the classes on one buffer, and a witness of what they reach. */
import { type DmaBuf, type DmaBufAttachment, type Op, PAGE_SIZE, type Scheduler } from "@dma-buf/core";
import { accepted } from "./accepted.js";
import type { ClassImporter } from "./importers/class-importer.js";
import { classImporter } from "./importers/classes.js";
import type { ImporterClass } from "./importers/options.js";
import { together } from "./orders.js";
import type { Recorder } from "./recorder.js";
import type { ExporterSubject } from "./subject.js";
import { Witness } from "./witness.js";
import { deviceOf, type ExporterWorld, freshWorld, lifeOf, lookThrough, type Way } from "./world.js";

/** A world with a buffer and its witness. */
export interface Stage extends ExporterWorld {
  readonly buf: DmaBuf;
  readonly witness: Witness;
  /** A new importer of the class. */
  importer(name: ImporterClass): ClassImporter;
}

/** Builds a stage, and lets `live` play on it. `live` puts the last reference. */
export function staged(
  scheduler: Scheduler,
  subject: ExporterSubject,
  live: (stage: Stage) => Op<void>,
  trace = false,
): Recorder {
  const fresh = freshWorld(scheduler, subject, { trace });
  lifeOf(fresh, subject, (w, buf) => {
    const witness = new Witness(w, buf);
    const options = {
      framework: w.fw,
      // One page: the more is looked at, the more orders there are, and they show the same.
      sizeBytes: PAGE_SIZE,
      arrived: witness.arrived,
      look: (at: DmaBufAttachment) => lookThrough(w, at),
    };
    return live({ ...w, buf, witness, importer: (name) => classImporter(name, options) });
  });
  return fresh.fw;
}

/** Was it let in? */
export const attach = (stage: Stage, importer: ClassImporter): Op<boolean> =>
  accepted(importer.attach(stage.buf, deviceOf(stage)));

/** The exporter takes the memory away while `importers` do as they do. Nobody may be thrown at. */
export function* against({ fw, witness }: Stage, way: Way, importers: Readonly<Record<string, Op<void>>>): Op<void> {
  if (way === "move") yield* witness.look();
  const tasks = yield* together(fw.scheduler, { ...importers, exporter: witness.take(way) });
  for (const { name, state, error } of tasks)
    if (state === "failed") fw.breach("invalidate", `${name} fails: ${String(error)}`);
}
