/** An exporter against importers of each class: revoke and move against attach, map, access, unmap, detach and put. */
import { DmaBufError, type Op, Scheduler } from "@dma-buf/core";
import { accepted } from "./accepted.js";
import { classesOf } from "./importers/classes.js";
import type { ImporterClass } from "./importers/options.js";
import type { KitCase, Outcome } from "./kit-case.js";
import { type CheckOptions, type Race, searchOrders } from "./orders.js";
import { messages } from "./recorder.js";
import { against, attach, type Stage, staged } from "./stage.js";
import type { ExporterSubject } from "./subject.js";
import { deviceOf, type Way, WAYS } from "./world.js";

/** What importers do, in the order in which they are listed, while the exporter takes the memory away. */
type Life = (stage: Stage, way: Way, classes: readonly ImporterClass[]) => Op<void>;

/** The two halves of one importer's life; each alone is short enough to be tried whole. */
const HALVES: Readonly<Record<string, Life>> = {
  *"attach, map and access"(stage, way, [name]) {
    const importer = stage.importer(name as ImporterClass);
    let attached = false;
    function* arrive(): Op<void> {
      attached = yield* attach(stage, importer);
      if (attached) yield* passedOver(importer.use());
    }
    yield* against(stage, way, { importer: arrive() });
    if (attached) yield* importer.close();
    yield* stage.fw.put(stage.buf);
  },
  *"access, unmap, detach and put"(stage, way, [name]) {
    const importer = stage.importer(name as ImporterClass);
    yield* attach(stage, importer);
    yield* importer.use();
    function* leave(): Op<void> {
      yield* passedOver(importer.use());
      yield* importer.close();
      // The last reference: the buffer may go while the exporter is at it.
      yield* stage.fw.put(stage.buf);
    }
    yield* against(stage, way, { importer: leave() });
  },
};

/** Two that know where the buffer is, and both use it. */
const TOGETHER: Readonly<Record<string, Life>> = {
  *"an access of each"(stage, way, classes) {
    const importers = classes.map((name) => stage.importer(name));
    for (const importer of importers) {
      yield* attach(stage, importer);
      yield* importer.use();
    }
    yield* against(stage, way, Object.fromEntries(importers.map((i) => [i.name, passedOver(i.use())])));
    for (const importer of importers) yield* importer.close();
    yield* stage.fw.put(stage.buf);
  },
};

interface Group {
  /** `zap`, or `zap+fenced`. */
  readonly name: string;
  readonly classes: readonly ImporterClass[];
  readonly lives: Readonly<Record<string, Life>>;
  readonly stepsMax?: number;
}

/** Of two importers there are too many orders for all of them, and more in turn show less than some at random. */
const STEPS_OF_TWO = 5000;

/** One case a class that can be right under the contract, so that each says how many orders were tried, and one of two at once. */
export function exporterOrders(subject: ExporterSubject, options: CheckOptions): KitCase[] {
  return groupsOf(subject).map((group) => ({
    name: group.name,
    run: () => refusalOf(subject, group.classes) ?? outcomeOf(racesOf(subject, group), options),
  }));
}

/** All that are searched. */
export function exporterRaces(subject: ExporterSubject): Race[] {
  return groupsOf(subject).flatMap((group) => racesOf(subject, group));
}

/** The first two are those that go on differently: one stops at once, the other when its fence signals, or at a fault. */
function groupsOf({ contract }: ExporterSubject): Group[] {
  const classes = classesOf(contract);
  const two = classes.slice(0, 2);
  const alone = classes.map((name) => ({ name, classes: [name], lives: HALVES }));
  return [...alone, { name: two.join("+"), classes: two, lives: TOGETHER, stepsMax: STEPS_OF_TWO }];
}

function racesOf(subject: ExporterSubject, { name, classes, lives, ...bound }: Group): Race[] {
  return WAYS.filter((way) => subject.capabilities.includes(way)).flatMap((way) =>
    Object.entries(lives).map(([what, live]) => ({
      ...bound,
      name: `${name}: ${way} against ${what}`,
      run: (scheduler, trace) => staged(scheduler, subject, (stage) => live(stage, way, classes), trace),
    })),
  );
}

function outcomeOf(races: readonly Race[], options: CheckOptions): Outcome {
  const searches = races.map((race) => ({ ...searchOrders(race, options), what: race.name.replace(/^.*?: /, "") }));
  const title = searches.map(({ what, orders }) => `${what}: ${orders}`).join("; ");
  const broken = searches.find((s) => s.breaches.length > 0)?.breaches ?? [];
  return { title: title || "nothing is revoked, and nothing moves", breaches: messages(broken) };
}

/** Tries one life without a race. An exporter may refuse a class; then nothing is left of it. */
function refusalOf(subject: ExporterSubject, classes: readonly ImporterClass[]): Outcome | null {
  let title = "";
  const { breaches } = staged(new Scheduler(), subject, function* (stage) {
    const { fw, buf } = stage;
    const known = fw.findings.length;
    try {
      for (const name of classes) yield* lived(stage, name);
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

function* lived(stage: Stage, name: ImporterClass): Op<void> {
  const importer = stage.importer(name);
  yield* importer.attach(stage.buf, deviceOf(stage));
  try {
    yield* importer.use();
  } finally {
    yield* importer.close();
  }
}

/** What is refused meanwhile is refused rightly. */
function* passedOver(op: Op<void>): Op<void> {
  yield* accepted(op);
}
