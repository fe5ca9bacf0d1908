/** Runs every drive and says, requirement by requirement, what was kept. */
import { type CallName, type Op, rowsOf, Scheduler } from "@dma-buf/core";
import { exporterDrives } from "./exporter-drives.js";
import { exporterOrders } from "./exporter-orders.js";
import { importerDrives, type ImporterWorld, revokeRace } from "./importer-drives.js";
import type { KitCase, Outcome } from "./kit-case.js";
import { misbehaviours } from "./misbehaviour.js";
import { nthFailures } from "./nth-failure.js";
import { searchOrders } from "./orders.js";
import type { Breach } from "./recorder.js";
import { referenceExporter } from "./reference-exporter.js";
import { lifeOf, type World, freshWorld } from "./world.js";
import type { ExporterSubject, ImporterSubject } from "./subject.js";

/** A case: one requirement of the contract, and how the plugin broke it. */
export interface Case {
  /** The row's id, and what the row says. */
  readonly title: string;
  readonly requirement: string;
  readonly breaches: readonly string[];
}

/**
 * One case for each row of the contract that a plugin of this kind can break and that was tried, in the contract's
 * order, and one for every call coming back. What a plugin does not declare is tried too: it must be absent or refuse.
 * @example
 * check(subject).filter(({ breaches }) => breaches.length > 0); // []
 */
export function check(subject: ExporterSubject | ImporterSubject): Case[] {
  const {
    breaches,
    tried,
    orders,
    more = [],
  } = subject.kind === "exporter" ? driveExporter(subject) : driveImporter(subject);
  const { contract } = subject;
  const cases = rowsOf(contract).flatMap(([call, { id, does }]) => {
    const note = orders && call === "invalidateMappings" ? ` (${orders})` : "";
    return tried.has(call) ? [{ requirement: id, title: `${id}: ${does}${note}` }] : [];
  });
  cases.push({ requirement: `${contract.id}/deadlock`, title: `${contract.id}/deadlock: every call comes back` });
  const known = new Set(cases.map((c) => c.requirement));
  for (const { requirement } of breaches)
    if (!known.has(requirement)) {
      known.add(requirement);
      cases.push({ requirement, title: requirement });
    }
  const ofRows = cases.map((c) => ({
    ...c,
    breaches: [...new Set(breaches.filter((b) => b.requirement === c.requirement).map((b) => b.message))],
  }));
  return [...ofRows, ...more];
}

/** What a test runner offers; vitest, Jest and node:test fit. */
export interface Runner {
  describe(name: string, body: () => void): void;
  it(name: string, body: () => void): void;
}

/**
 * Binds the cases to a test runner, in one line. A broken requirement throws, with every way in which it was broken.
 * @example
 * import { describe, it } from "vitest";
 * conformance({ describe, it }, subject);
 */
export function conformance(runner: Runner, subject: ExporterSubject | ImporterSubject): void {
  runner.describe(`${subject.name} keeps ${subject.contract.id}`, () => {
    for (const { title, requirement, breaches } of check(subject))
      runner.it(title, () => {
        if (breaches.length > 0) throw new Error(`${subject.name} breaks ${requirement}: ${breaches.join("; ")}`);
      });
  });
}

interface Driven {
  readonly breaches: readonly Breach[];
  readonly tried: ReadonlySet<CallName>;
  /** How many orders of the race were tried, and whether that was all. */
  readonly orders?: string;
  /** Cases that are no row's. */
  readonly more?: readonly Case[];
}

/** An exporter's are its callbacks, and the calls with which it makes buffers and takes them away. */
function driveExporter(subject: ExporterSubject): Driven {
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
  return { breaches, tried, more: kitCases(subject, breaches.length === 0) };
}

/** What no single row says: the classes of importers, under the row of invalidate, and the failures. */
function kitCases(subject: ExporterSubject, sound: boolean): Case[] {
  const { id, rows } = subject.contract;
  // What is broken in one order would be found again in all.
  const later: Outcome = { title: "not tried, mend what is broken above first", breaches: [] };
  const cased = (under: string, cases: readonly KitCase[]): Case[] =>
    cases.map(({ name, run }) => {
      const { title, breaches } = sound ? run() : later;
      return { requirement: `${under}/${name}`, title: `${under}/${name}: ${title}`, breaches };
    });
  const invalidate = rows.invalidate?.id ?? id;
  return [
    ...cased(invalidate, exporterOrders(subject)),
    ...cased(id, misbehaviours(subject)),
    ...cased(id, nthFailures(subject)),
  ];
}

/** An importer's are its callback, and the calls that it made. */
function driveImporter(subject: ImporterSubject): Driven {
  const tried = new Set<CallName>(["invalidateMappings"]);
  const breaches = importerDrives.flatMap((drive) => {
    const w = importerWorld(new Scheduler(), subject);
    w.run("mapAttachment", function* () {
      yield* drive(w);
      yield* last(w);
    });
    for (const call of w.fw.made) if (call !== "invalidate") tried.add(call);
    return w.fw.breaches;
  });
  if (!subject.capabilities.includes("invalidate")) return { breaches, tried };
  const race = searchOrders((scheduler) => {
    const w = importerWorld(scheduler, subject);
    w.run("mapAttachment", () => revokeRace(w));
    return w.fw.breaches;
  });
  return { breaches: [...breaches, ...race.breaches], tried, orders: race.orders };
}

/** The exporter's reference is the last: whatever is left then is the importer's. */
function* last({ fw, exporter, host }: ImporterWorld & World): Op<void> {
  const { refs, attachments } = exporter.buf;
  if (attachments.length > 0) fw.breach("detachAttachment", `${attachments.length} attachment(s) left`);
  if (refs > 1) fw.breach("put", `${refs - 1} reference(s) left: put what was got`);
  if (refs === 1) yield* fw.put(exporter.buf);
  const { liveMappings } = host;
  const { liveTables } = host.tables;
  if (liveMappings > 0) fw.breach("detachAttachment", `${liveMappings} DMA mapping(s) left: give back what was mapped`);
  if (liveTables > 0) fw.breach("detachAttachment", `${liveTables} page table(s) left: free them at detach`);
}

function importerWorld(scheduler: Scheduler, subject: ImporterSubject): ImporterWorld & World {
  const w = freshWorld(scheduler, subject);
  return { ...w, subject, importer: subject.create(w.fw, w.host), exporter: referenceExporter(w.fw) };
}
