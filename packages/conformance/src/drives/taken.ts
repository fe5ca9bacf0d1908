/** The memory goes while an importer has it installed: by a move, by a revoke, or not at all, since it is pinned. */
import type { Op } from "@dma-buf/core";
import { accepted } from "../accepted.js";
import type { ImporterWorld } from "../importer-world.js";
import { patiently } from "../patiently.js";
import { checkNowhere, checkTrue } from "../reached.js";

export const invalidates = ({ subject }: ImporterWorld): boolean => subject.capabilities.includes("invalidate");

export const takenDrives: readonly ((world: ImporterWorld) => Op<void>)[] = [
  function* moved(world) {
    const { importer, exporter } = world;
    yield* importer.attach(exporter.buf);
    yield* importer.use();
    // One that pins may be let alone: then it is true where it is.
    yield* accepted(exporter.move());
    checkTrue(world, "invalidateMappings", "the exporter moved: that place is somebody else's");
    if (invalidates(world)) yield* accepted(importer.use());
    checkTrue(world, "mapAttachment", "the exporter moved before the last use()");
    yield* importer.detach();
  },
  function* revoked(world) {
    if (!invalidates(world)) return;
    const { importer, exporter, fw } = world;
    yield* importer.attach(exporter.buf);
    yield* importer.use();
    // As the contract has it: whoever has a fence goes on until that signals, and whoever maps, until it unmaps.
    const begun = yield* patiently(world, "revoke", (op) => op);
    if (begun?.task.state === "failed") throw begun.task.error;
    if (begun && !begun.over())
      return fw.breach("invalidateMappings", `the exporter waits for ${begun.says()}: let go when you are told`);
    checkNowhere(world, "invalidateMappings", "it was revoked");
    yield* accepted(importer.use());
    checkNowhere(world, "mapAttachment", "it was revoked before the last use()");
    yield* importer.detach();
  },
  function* deaf({ importer, exporter, fw }) {
    yield* importer.attach(exporter.buf);
    yield* importer.use();
    const isDeaf = exporter.buf.attachments.every((at) => !at.importer?.invalidateMappings);
    const pins = exporter.buf.attachments.reduce((sum, at) => sum + at.pins, 0);
    if (fw.contract.rows.pinAttachment && isDeaf && pins === 0)
      fw.breach("pinAttachment", "cannot be told, and does not pin: what it was shown may go under it");
    yield* importer.detach();
  },
];
