/** An exporter against an importer of each class: revoke and move against attach, map, access, unmap, detach and put. */
import { type DmaBuf, type DmaBufAttachment, DmaBufError, type Op, PAGE_SIZE, Scheduler } from "@dma-buf/core";
import { accepted } from "./accepted.js";
import type { ClassImporter, ImporterClass } from "./importers/class-importer.js";
import { classesOf, classImporter } from "./importers/classes.js";
import { searchOrders, together } from "./orders.js";
import type { KitCase, Outcome } from "./kit-case.js";
import { type Breach, messages } from "./recorder.js";
import type { ExporterSubject } from "./subject.js";
import { Witness } from "./witness.js";
import { deviceOf, type ExporterWorld, lifeOf, lookThrough, type Way, WAYS, freshWorld } from "./world.js";

/** One importer and one witness in a world. */
interface Stage extends ExporterWorld {
  readonly scheduler: Scheduler;
  readonly buf: DmaBuf;
  readonly importer: ClassImporter;
  readonly witness: Witness;
}

/** The two halves of an importer's life; each alone is short enough to be tried whole. */
const HALVES: Readonly<Record<string, (stage: Stage, way: Way) => Op<void>>> = {
  *"attach, map and access"(stage, way) {
    let attached = false;
    function* arrive(): Op<void> {
      attached = yield* attach(stage);
      if (attached) yield* accepted(stage.importer.use());
    }
    yield* against(stage, way, arrive());
    if (attached) yield* stage.importer.close();
    yield* stage.fw.put(stage.buf);
  },
  *"access, unmap, detach and put"(stage, way) {
    const { importer, fw, buf } = stage;
    yield* attach(stage);
    yield* importer.use();
    function* leave(): Op<void> {
      yield* accepted(importer.use());
      yield* importer.close();
      // The last reference: the buffer may go while the exporter is at it.
      yield* fw.put(buf);
    }
    yield* against(stage, way, leave());
  },
};

/** One case a class that can be right under the contract, so that each says how many orders were tried. */
export function exporterOrders(subject: ExporterSubject): KitCase[] {
  return classesOf(subject.contract).map((name) => ({
    name,
    run: () => refusalOf(subject, name) ?? searchesOf(subject, name),
  }));
}

function searchesOf(subject: ExporterSubject, name: ImporterClass): Outcome {
  const ways = WAYS.filter((way) => subject.capabilities.includes(way));
  const searches = ways.flatMap((way) =>
    Object.entries(HALVES).map(([half, live]) => {
      const found = searchOrders((scheduler) => staged(scheduler, subject, name, (stage) => live(stage, way)));
      return { breaches: found.breaches, title: `${way} against ${half}: ${found.orders}` };
    }),
  );
  const title = searches.map((s) => s.title).join("; ") || "nothing is revoked, and nothing moves";
  return { title, breaches: messages(searches.find((s) => s.breaches.length > 0)?.breaches ?? []) };
}

/** Tries one life without a race. An exporter may refuse a class; then nothing is left of it. */
function refusalOf(subject: ExporterSubject, name: ImporterClass): Outcome | null {
  let title = "";
  const breaches = staged(new Scheduler(), subject, name, function* (stage) {
    const { importer, fw, buf } = stage;
    const known = fw.findings.length;
    try {
      yield* importer.attach(buf, deviceOf(stage));
      try {
        yield* importer.use();
      } finally {
        yield* importer.close();
      }
    } catch (error) {
      if (!(error instanceof DmaBufError)) throw error;
      // That the core warns of a refusal is not held against it.
      fw.forgetWarnings(known);
      title = `refused with ${error.code} at stage ${error.stage}`;
    }
    yield* fw.put(buf);
  });
  return title || breaches.length > 0 ? { title, breaches: messages(breaches) } : null;
}

function staged(
  scheduler: Scheduler,
  subject: ExporterSubject,
  name: ImporterClass,
  live: (stage: Stage) => Op<void>,
): readonly Breach[] {
  const fresh = freshWorld(scheduler, subject);
  lifeOf(fresh, subject, (w, buf) => {
    const witness = new Witness(w, buf);
    const options = {
      framework: w.fw,
      // One page: the more is looked at, the more orders there are, and they show the same.
      sizeBytes: PAGE_SIZE,
      arrived: witness.arrived,
      look: (at: DmaBufAttachment) => lookThrough(w, at),
    };
    const importer = classImporter(name, options);
    return live({ ...w, scheduler, buf, importer, witness });
  });
  return fresh.fw.breaches;
}

const attach = (stage: Stage): Op<boolean> => accepted(stage.importer.attach(stage.buf, deviceOf(stage)));

function* against({ scheduler, witness, fw }: Stage, way: Way, importer: Op<void>): Op<void> {
  for (const { name, state, error } of yield* together(scheduler, { importer, exporter: witness[way]() }))
    if (state === "failed") fw.breach("invalidate", `${name} fails: ${String(error)}`);
}
