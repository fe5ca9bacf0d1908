/** What is done with an importer to see whether it keeps the rules: one short life each, in a fresh world. */
import type { Op } from "@dma-buf/core";
import { accepted } from "../accepted.js";
import type { ImporterWorld } from "../importer-world.js";
import { checkTrue, placeReached } from "../reached.js";
import { invalidates, takenDrives } from "./taken.js";

type Drive = (world: ImporterWorld) => Op<void>;

/** In each, the kit puts the exporter's reference last: what the importer keeps shows. */
export const importerDrives: readonly Drive[] = [
  function* use(world) {
    const { importer, exporter, fw } = world;
    yield* importer.attach(exporter.buf);
    if (exporter.buf.refs < 2) fw.breach("get", "attached without a reference of its own: the buffer may go under it");
    for (const _ of ["first", "again"]) yield* importer.use();
    if (importer.holds() === 0) fw.breach("mapAttachment", "use() installs nothing");
    if (importer.reaches && placeReached(world, 0) === null)
      fw.breach("mapAttachment", "use() comes back, and an access to the first byte would fault");
    checkTrue(world, "mapAttachment", "that is not where the exporter has it");
    checkPeer2peer(world);
    const brings = exporter.buf.attachments[0]?.importer?.invalidateMappings !== undefined;
    if (brings !== invalidates(world))
      fw.breach("dynamicAttach", `brings ${brings ? "the" : "no"} invalidate callback, which it declares otherwise`);
    yield* importer.detach();
  },
  function* unused({ importer, exporter }) {
    yield* importer.attach(exporter.buf);
    yield* importer.detach();
  },
  function* invalidated(world) {
    const { importer, exporter, fw } = world;
    yield* importer.attach(exporter.buf);
    yield* importer.use();
    if (invalidates(world)) {
      // Twice, and once with nothing moved: it must be idempotent.
      for (const _ of ["moved", "again"]) {
        using held = yield* exporter.buf.resv.lock();
        yield* fw.invalidate(exporter.buf, held);
      }
      if (importer.holds() > 0) fw.breach("invalidateMappings", `${importer.holds()} run(s) outlive the invalidate`);
      yield* importer.use();
    }
    yield* importer.detach();
  },
  function* refusedAttach({ importer, exporter, fw }) {
    exporter.refuseAttach = true;
    if (yield* accepted(importer.attach(exporter.buf))) {
      fw.breach("dynamicAttach", "the exporter's refusal is swallowed");
      yield* importer.detach();
    }
  },
  function* refusedUse(world) {
    const { importer, exporter, fw } = world;
    if (!invalidates(world)) return;
    yield* importer.attach(exporter.buf);
    yield* exporter.revoke({ wait: false });
    if (yield* accepted(importer.use())) fw.breach("mapAttachment", "the exporter's refusal is swallowed");
    exporter.restore();
    yield* importer.use();
    yield* importer.detach();
  },
  ...takenDrives,
];

function checkPeer2peer({ subject, exporter, fw }: ImporterWorld): void {
  const declared = subject.capabilities.includes("peer2peer");
  const { peer2peer = declared } = exporter.buf.attachments[0] ?? {};
  if (peer2peer !== declared) fw.breach("dynamicAttach", `allow_peer2peer is ${peer2peer}, declared ${declared}`);
}
