/** A world with an importer in it, and the reference exporter on the other side. */
import { type DmaBufOps, type Op, PAGE_SIZE, type Scheduler } from "@dma-buf/core";
import { referenceExporter, type ReferenceExporter } from "./reference-exporter.js";
import type { ImporterSubject, ImporterUnderTest } from "./subject.js";
import { freshWorld, type World, type WorldOptions } from "./world.js";

export interface ImporterWorld extends World {
  readonly subject: ImporterSubject;
  readonly importer: ImporterUnderTest;
  readonly exporter: ReferenceExporter;
}

/** What is made to go wrong in a life. */
export interface LifeOptions extends WorldOptions {
  /** Callbacks of the exporter in place of those that keep the rules. */
  readonly change?: (honest: DmaBufOps) => Partial<DmaBufOps>;
}

/** One life of an importer: `live`, and then the exporter's reference is put. Whatever is left is the importer's. */
export function importerLife(
  scheduler: Scheduler,
  subject: ImporterSubject,
  live: (world: ImporterWorld) => Op<void>,
  options: LifeOptions = {},
): World["fw"] {
  const world = importerWorld(scheduler, subject, { trace: false, ...options });
  world.run("mapAttachment", function* () {
    yield* live(world);
    yield* last(world);
  });
  return world.fw;
}

/** A fresh one. */
export function importerWorld(
  scheduler: Scheduler,
  subject: ImporterSubject,
  { change, ...options }: LifeOptions = {},
): ImporterWorld {
  const fresh = freshWorld(scheduler, subject, options);
  const { fw, host } = fresh;
  return {
    ...fresh,
    subject,
    importer: subject.create(fw, host),
    exporter: referenceExporter(fw, fitting(subject, change)),
  };
}

/** In place of callbacks: there are none. */
const MAPS_NOT = { mapDmaBuf: undefined, unmapDmaBuf: undefined } as unknown as Partial<DmaBufOps>;

/** Callbacks that an importer without a device can attach to. */
function fitting(
  { hasDevice = true, contract }: ImporterSubject,
  change: LifeOptions["change"],
): LifeOptions["change"] {
  if (hasDevice || contract.policy.device !== "unless-no-map") return change;
  return (honest) => ({ ...change?.(honest), ...MAPS_NOT });
}

/** The exporter's reference is the last: what the importer keeps shows. */
export function* last({ fw, exporter, host, importer }: ImporterWorld): Op<void> {
  const { refs, attachments } = exporter.buf;
  if (attachments.length > 0) fw.breach("detachAttachment", `${attachments.length} attachment(s) left`);
  if (refs > 1) fw.breach("put", `${refs - 1} reference(s) left: put what was got`);
  if (importer.holds() > 0) fw.breach("detachAttachment", `${importer.holds()} run(s) outlive the detach`);
  if (refs === 1) yield* fw.put(exporter.buf);
  const { liveMappings, liveTables } = host;
  if (liveMappings > 0) fw.breach("detachAttachment", `${liveMappings} DMA mapping(s) left: give back what was mapped`);
  if (liveTables > 0) fw.breach("detachAttachment", `${liveTables} page table(s) left: free them at detach`);
}

/** What is out, by name: after a refusal it must be what it was. */
export function countsOf({ fw, host }: World): Readonly<Record<string, number>> {
  return { ...fw.ledger, "DMA mappings": host.liveMappings, "page tables": host.liveTables };
}

/** The offsets of the reference exporter's pages. */
export function pagesOf({ exporter }: ImporterWorld): number[] {
  return Array.from({ length: exporter.buf.sizeBytes / PAGE_SIZE }, (_, page) => page * PAGE_SIZE);
}
