/** An exporter that moves: who maps it is told, and finds it at the new place; what is pinned stays. */
import { type DmaBuf, DmaBufError, type Op } from "@dma-buf/core";
import { ReferenceImporter } from "../reference-importer.js";
import { placeOf } from "../witness.js";
import { accessOf, can, checkGivenBack, deviceOf, type ExporterWorld, importerFor } from "../world.js";

const placesOf = ({ host }: ExporterWorld, { runs }: ReferenceImporter): string =>
  runs.map((run) => placeOf(host, run)).join(" ");

export function* moved(world: ExporterWorld, buf: DmaBuf): Op<void> {
  const { fw, exporter } = world;
  const offers = exporter.move !== undefined;
  if (offers !== can(world, "move"))
    return fw.breach("invalidate", offers ? "move() is there, undeclared" : "move is declared and not there");
  if (!exporter.move) return;
  const importer = importerFor(world);
  yield* importer.attach(buf, deviceOf(world));
  yield* importer.use();
  const before = placesOf(world, importer);
  yield* exporter.move();
  if (importer.runs.length > 0) fw.breach("invalidate", "move() does not invalidate: the importer still holds runs");
  yield* importer.use();
  if (placesOf(world, importer) === before) fw.breach(accessOf(world), "tells the old place after move() returned");
  yield* importer.detach();
  checkGivenBack(world);
}

/** A move of what is pinned is refused with `EBUSY`, or leaves it where it is. */
export function* movedPinned(world: ExporterWorld, buf: DmaBuf): Op<void> {
  const { fw, exporter } = world;
  if (!exporter.move || !can(world, "pin")) return;
  const importer = importerFor(world);
  yield* importer.attach(buf, deviceOf(world));
  yield* pinning(importer, (at, held) => fw.pinAttachment(at, held));
  yield* importer.use();
  const before = placesOf(world, importer);
  try {
    yield* exporter.move();
  } catch (error) {
    if (!(error instanceof DmaBufError)) throw error;
    if (error.code !== "EBUSY") fw.breach("pin", `refuses to move what is pinned with ${error.code}: say EBUSY`);
  }
  yield* importer.use();
  if (placesOf(world, importer) !== before) fw.breach("pin", "moves what is pinned");
  yield* pinning(importer, (at, held) => fw.unpinAttachment(at, held));
  yield* importer.detach();
}

function* pinning(
  { attachment }: ReferenceImporter,
  call: (...args: Parameters<ExporterWorld["fw"]["pinAttachment"]>) => Op<void>,
): Op<void> {
  using held = yield* attachment.buf.resv.lock();
  yield* call(attachment, held);
}
