/** Mapping: all of it, again, two tables at once, and for an importer without operations. */
import { type DmaBuf, hex, type Op, type Run } from "@dma-buf/core";
import { accepted } from "../accepted.js";
import { ReferenceImporter } from "../reference-importer.js";
import { staticUse } from "../try-out.js";
import { placeOf } from "../witness.js";
import { accessOf, can, checkGivenBack, deviceOf, type ExporterWorld, importerFor } from "../world.js";

export function* used(world: ExporterWorld, buf: DmaBuf): Op<void> {
  for (const _ of ["first", "again"]) {
    const importer = importerFor(world);
    yield* importer.attach(buf, deviceOf(world));
    yield* importer.use();
    checkCover(world, buf, importer.runs);
    checkMapped(world, importer.runs);
    yield* importer.detach();
    checkGivenBack(world);
  }
}

export function* mappedTwice(world: ExporterWorld, buf: DmaBuf): Op<void> {
  if (!can(world, "map")) return;
  const importer = new ReferenceImporter(world.fw);
  yield* importer.attach(buf, world.host.device);
  const { attachment } = importer;
  const tables = [];
  for (const _ of [1, 2]) tables.push(yield* world.fw.mapAttachmentUnlocked(attachment, "to-device"));
  for (const table of tables) yield* world.fw.unmapAttachmentUnlocked(attachment, table, "to-device");
  yield* importer.detach();
  checkGivenBack(world);
}

export function* mappedStatically(world: ExporterWorld, buf: DmaBuf): Op<void> {
  if (!world.fw.contract.rows.mapAttachment || !buf.ops.mapDmaBuf) return;
  const { fw, host } = world;
  const before = host.liveMappings;
  const known = fw.findings.length;
  const ok = yield* accepted(staticUse(world, buf));
  if (!ok && !can(world, "static")) fw.forgetWarnings(known);
  if (ok !== can(world, "static"))
    fw.breach("attach", ok ? "serves a static importer, undeclared" : "refuses a static importer, which it declares");
  if (!ok && host.liveMappings !== before) fw.breach("attach", "a refused attach leaves DMA mappings behind");
}

/** Every byte once, in order, inside the buffer. */
function checkCover(world: ExporterWorld, buf: DmaBuf, runs: readonly Run[]): void {
  const { fw } = world;
  const call = accessOf(world);
  let next = 0;
  for (const run of runs) {
    if (run.offset !== next || run.sizeBytes <= 0)
      return fw.breach(
        call,
        `a run at ${run.offset} of ${run.sizeBytes} bytes where ${next} is next: cover each byte once`,
      );
    next += run.sizeBytes;
  }
  if (next !== buf.sizeBytes) fw.breach(call, `the runs cover ${next} of ${buf.sizeBytes} bytes`);
}

/** Each run leads somewhere, from its first byte to its last. */
function checkMapped({ fw, host }: ExporterWorld, runs: readonly Run[]): void {
  for (const run of runs)
    for (const address of [run.address, run.address + run.sizeBytes - 1])
      if (placeOf(host, { ...run, address } as Run) === null)
        return fw.breach(
          "mapDmaBuf",
          `FAULT: nothing is mapped at ${hex(address)}, which was told as ${run.kind} address: map it by device.dma`,
        );
}
