/** Runs every drive and says, requirement by requirement, what was kept. */
import { type CallName, DmaBufError, explore, type Op, rowsOf, Scheduler } from "@dma-buf/core";
import { exporterDrives } from "./exporter-drives.js";
import { importerDrives, type ImporterWorld, revokeRace } from "./importer-drives.js";
import { type Breach, Recorder } from "./recorder.js";
import { RecordingHost } from "./recording-host.js";
import { referenceExporter } from "./reference.js";
import type { ExporterSubject, ImporterSubject } from "./subject.js";

/** A case: one requirement of the contract, and how the plugin broke it. */
export interface Case {
  /** The row's id, and what the row says. */
  readonly title: string;
  readonly requirement: string;
  readonly breaches: readonly string[];
}

/** Orders of the race that are tried at most; the search says if that was not all. */
const ORDERS_MAX = 5000;

/**
 * One case for each row of the contract that a plugin of this kind can break, in the contract's order, and one for
 * every call coming back. None is left out: what a plugin does not declare is checked to be absent.
 * @example
 * check(subject).filter(({ breaches }) => breaches.length > 0); // []
 */
export function check(subject: ExporterSubject | ImporterSubject): Case[] {
  const breaches = subject.kind === "exporter" ? driveExporter(subject) : driveImporter(subject);
  const { contract } = subject;
  const rows = rowsOf(contract).map(([, row]) => ({ requirement: row.id, title: `${row.id}: ${row.does}` }));
  const known = new Set(rows.map((r) => r.requirement));
  const others = [...new Set(breaches.map((b) => b.requirement))].filter((id) => !known.has(id));
  const alive = { requirement: `${contract.id}/deadlock`, title: `${contract.id}/deadlock: every call comes back` };
  const extra = others.filter((id) => id !== alive.requirement).map((id) => ({ requirement: id, title: id }));
  return [...rows, alive, ...extra].map(({ requirement, title }) => ({
    requirement,
    title,
    breaches: [...new Set(breaches.filter((b) => b.requirement === requirement).map((b) => b.message))],
  }));
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

function driveExporter(subject: ExporterSubject): Breach[] {
  return exporterDrives.flatMap((drive) => {
    const { fw, host, run } = world(new Scheduler(), subject);
    run("export", function* () {
      const exporter = subject.create(fw, host);
      const buf = exporter.export();
      yield* drive({ subject, fw, host, exporter }, buf);
      yield* fw.put(buf);
      checkEmpty(fw, "release", `${buf.exporterName} is not released at the last put`);
    });
    return fw.breaches;
  });
}

function driveImporter(subject: ImporterSubject): Breach[] {
  const lives = importerDrives.flatMap((drive) => {
    const w = importerWorld(new Scheduler(), subject);
    w.run("mapAttachment", function* () {
      yield* drive(w);
      yield* last(w);
    });
    return w.fw.breaches;
  });
  if (!subject.capabilities.includes("invalidate")) return lives;
  const race = explore(
    (scheduler) => {
      const w = importerWorld(scheduler, subject);
      w.run("mapAttachment", () => revokeRace(w, (name, op) => scheduler.spawn(name, op)));
      return w.fw.breaches;
    },
    { badness: (breaches) => breaches.length, ordersMax: ORDERS_MAX },
  );
  return [...lives, ...race.worst.result];
}

/** The exporter's reference is the last: whatever is left then is the importer's. */
function* last({ fw, exporter }: ImporterWorld): Op<void> {
  const { refs, attachments } = exporter.buf;
  if (attachments.length > 0) fw.breach("detachAttachment", `${attachments.length} attachment(s) left`);
  if (refs > 1) fw.breach("put", `${refs - 1} reference(s) left: put what was got`);
  if (refs === 1) yield* fw.put(exporter.buf);
}

interface World {
  readonly fw: Recorder;
  readonly host: RecordingHost;
  run(otherwise: CallName, op: () => Op<void>): void;
}

function world(scheduler: Scheduler, { contract }: ExporterSubject | ImporterSubject): World {
  const fw = new Recorder({ contract, scheduler });
  return {
    fw,
    host: new RecordingHost(),
    run(otherwise, op) {
      const task = scheduler.spawn("kit", op());
      scheduler.run();
      // What a callback threw was booked under its row; anything else is booked under the call that led there.
      if (task.state === "failed" && fw.breaches.length === 0)
        fw.breach(otherwise, `${task.error instanceof DmaBufError ? "refused" : "failed"}: ${String(task.error)}`);
    },
  };
}

function importerWorld(scheduler: Scheduler, subject: ImporterSubject): ImporterWorld & World {
  const w = world(scheduler, subject);
  return { ...w, subject, importer: subject.create(w.fw, w.host), exporter: referenceExporter(w.fw) };
}

function checkEmpty(fw: Recorder, call: CallName, message: string): void {
  if (fw.ledger.buffers > 0 || fw.calls.release !== 1) fw.breach(call, message);
}
