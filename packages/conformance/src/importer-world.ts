/** A world with an importer in it, and the reference exporter on the other side. */
import type { Op, Scheduler } from "@dma-buf/core";
import { referenceExporter, type ReferenceExporter } from "./reference-exporter.js";
import type { ImporterSubject, ImporterUnderTest } from "./subject.js";
import { freshWorld, type World } from "./world.js";

export interface ImporterWorld extends World {
  readonly subject: ImporterSubject;
  readonly importer: ImporterUnderTest;
  readonly exporter: ReferenceExporter;
}

/** One life of an importer: `live`, and then the exporter's reference is put. Whatever is left is the importer's. */
export function importerLife(
  scheduler: Scheduler,
  subject: ImporterSubject,
  live: (world: ImporterWorld) => Op<void>,
  trace = false,
): World["fw"] {
  const fresh = freshWorld(scheduler, subject, { trace });
  const { fw, host } = fresh;
  const world = { ...fresh, subject, importer: subject.create(fw, host), exporter: referenceExporter(fw) };
  fresh.run("mapAttachment", function* () {
    yield* live(world);
    yield* last(world);
  });
  return fw;
}

function* last({ fw, exporter, host }: ImporterWorld): Op<void> {
  const { refs, attachments } = exporter.buf;
  if (attachments.length > 0) fw.breach("detachAttachment", `${attachments.length} attachment(s) left`);
  if (refs > 1) fw.breach("put", `${refs - 1} reference(s) left: put what was got`);
  if (refs === 1) yield* fw.put(exporter.buf);
  const { liveMappings } = host;
  const { liveTables } = host.tables;
  if (liveMappings > 0) fw.breach("detachAttachment", `${liveMappings} DMA mapping(s) left: give back what was mapped`);
  if (liveTables > 0) fw.breach("detachAttachment", `${liveTables} page table(s) left: free them at detach`);
}
