/** A fresh world for each life of a plugin, and what every drive of an exporter asks of it. */
import {
  type CallName,
  type Device,
  DmaBufError,
  type DmaBuf,
  type DmaBufAttachment,
  type EnvOptions,
  mappedWindow,
  type Op,
  perform,
  type Scheduler,
  type Window,
} from "@dma-buf/core";
import { exporterUnderTest } from "./under-test.js";
import { Recorder, type RecorderOptions } from "./recorder.js";
import { RecordingHost, type RecordingHostOptions } from "./recording-host.js";
import { BelievingImporter, MappingImporter, type ReferenceImporter } from "./reference-importer.js";
import type { Counts, ExporterCapability, ExporterSubject, ExporterUnderTest, ImporterSubject } from "./subject.js";

/** How an exporter takes memory away. */
export const WAYS = ["revoke", "move"] as const;
export type Way = (typeof WAYS)[number];

/** A kernel and a host with nothing in them. */
export interface World {
  readonly fw: Recorder;
  readonly host: RecordingHost;
  /** Runs `op` to its end; what it fails with is booked under the row of `otherwise`. */
  run(otherwise: CallName, op: () => Op<void>): void;
}

/** A world with the exporter in it. */
export interface ExporterWorld extends World {
  readonly subject: ExporterSubject;
  readonly exporter: ExporterUnderTest;
}

/** What is made to go wrong in a world. */
export type WorldOptions = EnvOptions & RecordingHostOptions & Pick<RecorderOptions, "injected">;

export function freshWorld(
  scheduler: Scheduler,
  { contract }: ExporterSubject | ImporterSubject,
  options: WorldOptions = {},
): World {
  const fw = new Recorder({ contract, scheduler, ...options });
  return {
    fw,
    host: new RecordingHost("recording device", options),
    run(otherwise, op) {
      const task = scheduler.spawn("kit", op());
      scheduler.run();
      // What a callback threw was booked under its row; anything else is booked under the call that led there.
      if (task.state === "failed" && fw.breaches.length === 0)
        fw.breach(otherwise, `${task.error instanceof DmaBufError ? "refused" : "failed"}: ${String(task.error)}`);
    },
  };
}

/** One life of a buffer: exported, `live`, and everything is back. `live` puts the last reference. */
export function lifeOf(
  fresh: World,
  subject: ExporterSubject,
  live: (world: ExporterWorld, buf: DmaBuf) => Op<void>,
  check: (world: ExporterWorld, before: Counts) => void = checkNothingLeft,
): void {
  const { fw, host, run } = fresh;
  run("export", function* () {
    const exporter = exporterUnderTest(subject, fw, host);
    const w = { ...fresh, subject, exporter };
    const before = exporter.ledger?.() ?? {};
    const buf = yield* perform(exporter.export());
    yield* live(w, buf);
    if (fw.calls.release !== 1) fw.breach("release", `${buf.exporterName} is not released at the last put`);
    check(w, before);
  });
}

/** Is everything back, in the framework, at the host and in the exporter's own books? */
export function checkNothingLeft({ fw, host, exporter }: ExporterWorld, before: Counts): void {
  if (fw.ledger.buffers > 0) fw.breach("release", `${fw.ledger.buffers} buffer(s) left: put what was got`);
  checkGivenBack({ fw, host });
  const leftovers = Object.entries(exporter.ledger?.() ?? {}).filter(([what, count]) => count !== (before[what] ?? 0));
  for (const [what, count] of leftovers)
    fw.breach(
      "release",
      `${what}: ${count} where ${before[what] ?? 0} were before the export: give back what was taken`,
    );
}

/** Is every DMA mapping back? */
export function checkGivenBack({ fw, host }: Pick<World, "fw" | "host">): void {
  if (host.liveMappings > 0)
    fw.breach("unmapDmaBuf", `${host.liveMappings} DMA mapping(s) left: give back what map took`);
}

/** Whether `capability` is declared. */
export const can = ({ subject }: ExporterWorld, capability: ExporterCapability): boolean =>
  subject.capabilities.includes(capability);

/** A device where the contract wants one, and to map; else none, as KVM has none. */
export const deviceOf = (world: ExporterWorld): Device | null =>
  world.fw.contract.policy.device === "always" || can(world, "map") ? world.host.device : null;

/** The callback through which the memory is got at. */
export function accessOf(w: ExporterWorld): "mapDmaBuf" | "getPfn" | "mmap" {
  const { rows } = w.fw.contract;
  if (rows.getPfn && can(w, "get_pfn")) return "getPfn";
  return rows.mapDmaBuf ? "mapDmaBuf" : "mmap";
}

/** Under a contract with page frames, an exporter that has none is used through its map. */
const mapsOnly = (world: ExporterWorld): boolean =>
  world.fw.contract.rows.getPfn !== undefined && !can(world, "get_pfn");

export const importerFor = (world: ExporterWorld): ReferenceImporter =>
  mapsOnly(world) ? new MappingImporter(world.fw) : new BelievingImporter(world.fw);

/** How an importer comes to see this exporter's buffers. A static one maps if it can: then it is pinned. */
export function* lookThrough(world: ExporterWorld, at: DmaBufAttachment): Op<Window> {
  const { rows } = world.fw.contract;
  if (mapsOnly(world) || (rows.getPfn && !at.importer && can(world, "map")))
    return mappedWindow(world.fw, at, "bidirectional", (run) => run);
  return yield* world.fw.open(at, "bidirectional");
}
