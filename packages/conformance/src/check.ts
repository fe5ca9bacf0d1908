/** Runs every drive and says, requirement by requirement, what was kept. */
import { type CallName, DmaBufError, explore, type Op, perform, rowsOf, Scheduler, seeded } from "@dma-buf/core";
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

/** Orders of the race that are tried one after the other; if those are not all, so many more at random. */
const ORDERS_MAX = 5000;
const RANDOM_ORDERS = 2000;

/**
 * One case for each row of the contract that a plugin of this kind can break and that was tried, in the contract's
 * order, and one for every call coming back. What a plugin does not declare is tried too: it must be absent or refuse.
 * @example
 * check(subject).filter(({ breaches }) => breaches.length > 0); // []
 */
export function check(subject: ExporterSubject | ImporterSubject): Case[] {
  const { breaches, tried, orders } = subject.kind === "exporter" ? driveExporter(subject) : driveImporter(subject);
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
  return cases.map((c) => ({
    ...c,
    breaches: [...new Set(breaches.filter((b) => b.requirement === c.requirement).map((b) => b.message))],
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

interface Driven {
  readonly breaches: readonly Breach[];
  readonly tried: ReadonlySet<CallName>;
  /** How many orders of the race were tried, and whether that was all. */
  readonly orders?: string;
}

/** An exporter's are its callbacks, and the calls with which it makes buffers and takes them away. */
function driveExporter(subject: ExporterSubject): Driven {
  const breaches = exporterDrives.flatMap((drive) => {
    const { fw, host, run } = world(new Scheduler(), subject);
    run("export", function* () {
      const exporter = subject.create(fw, host);
      const buf = yield* perform(exporter.export());
      yield* drive({ subject, fw, host, exporter }, buf);
      yield* fw.put(buf);
      if (fw.ledger.buffers > 0 || fw.calls.release !== 1)
        fw.breach("release", `${buf.exporterName} is not released at the last put`);
    });
    return fw.breaches;
  });
  const callbacks = rowsOf(subject.contract).flatMap(([call, row]) => (row.party === "exporter" ? [call] : []));
  return { breaches, tried: new Set<CallName>([...callbacks, "export", "invalidate"]) };
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
  const race = searchRace(subject);
  return { breaches: [...breaches, ...race.breaches], tried, orders: race.orders };
}

function searchRace(subject: ImporterSubject): { readonly breaches: readonly Breach[]; readonly orders: string } {
  const race = (scheduler: Scheduler): readonly Breach[] => {
    const w = importerWorld(scheduler, subject);
    w.run("mapAttachment", () => revokeRace(w, (name, op) => scheduler.spawn(name, op)));
    return w.fw.breaches;
  };
  const badness = (breaches: readonly Breach[]): number => breaches.length;
  const found = explore(race, { badness, ordersMax: ORDERS_MAX });
  if (found.kind === "exhausted")
    return { breaches: found.worst.result, orders: `${found.explored} orders, all tried` };
  const random = Array.from({ length: RANDOM_ORDERS }, (_, seed) => explore(race, { badness, strategy: seeded(seed) }));
  const breaches = [found, ...random].map((f) => f.worst.result).find((b) => b.length > 0) ?? [];
  return { breaches, orders: `${found.explored} orders in turn and ${RANDOM_ORDERS} at random, not all` };
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
