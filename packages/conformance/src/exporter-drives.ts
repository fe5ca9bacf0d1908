/** What is done with an exporter to see whether it keeps the rules: one short life each, in a fresh world. */
import { type DmaBuf, type Op, PAGE_SIZE, type PfnAnswer, type Run } from "@dma-buf/core";
import { accepted } from "./accepted.js";
import { moved, movedPinned } from "./moves.js";
import { ReferenceImporter } from "./reference-importer.js";
import { CALLBACK_OF } from "./subject.js";
import { askFrame, staticUse, tryOut } from "./try-out.js";
import { accessOf, can, checkGivenBack, deviceOf, type ExporterWorld, importerFor } from "./world.js";

type Drive = (world: ExporterWorld, buf: DmaBuf) => Op<void>;

/** Every drive exports first and puts last, so release is part of each. */
export const exporterDrives: readonly Drive[] = [
  function* use(world, buf) {
    for (const _ of ["first", "again"]) {
      const importer = importerFor(world);
      yield* importer.attach(buf, deviceOf(world));
      yield* importer.use();
      checkCover(world, buf, importer.runs);
      yield* importer.detach();
      checkGivenBack(world);
    }
  },
  function* twoTables(world, buf) {
    if (!can(world, "map")) return;
    const importer = new ReferenceImporter(world.fw);
    yield* importer.attach(buf, world.host.device);
    const { attachment } = importer;
    const tables = [];
    for (const _ of [1, 2]) tables.push(yield* world.fw.mapAttachmentUnlocked(attachment, "to-device"));
    for (const table of tables) yield* world.fw.unmapAttachmentUnlocked(attachment, table, "to-device");
    yield* importer.detach();
    checkGivenBack(world);
  },
  function* revoked(world, buf) {
    const { fw, exporter } = world;
    const offers = exporter.revoke !== undefined && exporter.restore !== undefined;
    if (offers !== can(world, "revoke"))
      return fw.breach("invalidate", offers ? "revoke() is there, undeclared" : "revoke is declared and not there");
    if (!exporter.revoke || !exporter.restore) return;
    const importer = importerFor(world);
    yield* importer.attach(buf, deviceOf(world));
    yield* importer.use();
    yield* exporter.revoke();
    if (importer.runs.length > 0) fw.breach("invalidate", "revoke does not invalidate: the importer still holds runs");
    const call = accessOf(world);
    if (yield* accepted(importer.use())) fw.breach(call, "gives memory that is revoked: refuse until it is restored");
    yield* exporter.restore();
    if (!(yield* accepted(importer.use()))) fw.breach(call, "refuses after restore");
    yield* importer.detach();
    checkGivenBack(world);
  },
  moved,
  movedPinned,
  function* staticImporter(world, buf) {
    if (!world.fw.contract.rows.mapAttachment || !buf.ops.mapDmaBuf) return;
    const { fw, host } = world;
    const before = host.liveMappings;
    const known = fw.findings.length;
    const ok = yield* accepted(staticUse(world, buf));
    if (!ok && !can(world, "static")) fw.forgetWarnings(known);
    if (ok !== can(world, "static"))
      fw.breach("attach", ok ? "serves a static importer, undeclared" : "refuses a static importer, which it declares");
    if (!ok && host.liveMappings !== before) fw.breach("attach", "a refused attach leaves DMA mappings behind");
  },
  function* frames(world, buf) {
    if (!can(world, "get_pfn")) return;
    const importer = new ReferenceImporter(world.fw);
    yield* importer.attach(buf, deviceOf(world));
    yield* checkFrames(world, importer, buf.sizeBytes / PAGE_SIZE);
    yield* importer.detach();
  },
  function* optional(world, buf) {
    for (const capability of ["map", "get_pfn", "pin", "cpu-access", "mmap", "vmap"] as const) {
      const call = CALLBACK_OF[capability];
      if (!call || !(call in world.fw.contract.rows)) continue;
      if (!buf.ops[call] && !can(world, capability)) continue;
      const before = world.fw.calls[call] ?? 0;
      const known = world.fw.findings.length;
      const ok = yield* accepted(tryOut(world, buf, capability));
      // What is not declared may refuse: that the core warns of the refusal is not held against it.
      if (!ok && !can(world, capability)) world.fw.forgetWarnings(known);
      const worked = ok && (world.fw.calls[call] ?? 0) > before;
      if (worked !== can(world, capability))
        world.fw.breach(call, worked ? "works, undeclared: declare it" : "is declared and does not work");
    }
  },
];

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

/** Each page on its own must agree with what the order of its neighbours promised; one page too many is refused. */
function* checkFrames({ fw }: ExporterWorld, { attachment }: ReferenceImporter, pages: number): Op<void> {
  const answers: PfnAnswer[] = [];
  for (let pgoff = 0; pgoff < pages; pgoff++) answers.push(yield* askFrame(fw, attachment, pgoff));
  for (const [pgoff, { pfn, maxOrder }] of answers.entries()) {
    const first = pgoff - (pfn % 2 ** maxOrder);
    for (let page = first; page < first + 2 ** maxOrder; page++)
      if (answers[page]?.pfn !== pfn - pgoff + page)
        return fw.breach("getPfn", `page ${pgoff} promises order ${maxOrder}, which page ${page} does not keep`);
  }
  if (yield* accepted(askFrame(fw, attachment, pages)))
    fw.breach("getPfn", `tells a frame for page ${pages}, beyond the end`);
}
