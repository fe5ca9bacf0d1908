/** An exporter that revokes: who uses it is told, nobody is served until it is restored, and then everybody is. */
import type { DmaBuf, Op } from "@dma-buf/core";
import { accepted } from "../accepted.js";
import { patiently } from "../patiently.js";
import { accessOf, can, checkGivenBack, deviceOf, type ExporterWorld, importerFor } from "../world.js";

export function* revoked(world: ExporterWorld, buf: DmaBuf): Op<void> {
  const { fw, exporter } = world;
  const offers = exporter.revoke !== undefined && exporter.restore !== undefined;
  if (offers !== can(world, "revoke"))
    return fw.breach("invalidate", offers ? "revoke() is there, undeclared" : "revoke is declared and not there");
  if (!exporter.revoke || !exporter.restore) return;
  const importer = importerFor(world);
  yield* importer.attach(buf, deviceOf(world));
  yield* importer.use();
  const begun = yield* patiently(world, "revoke", (op) => op);
  if (begun?.task.state === "failed") throw begun.task.error;
  if (importer.runs.length > 0) {
    const waits = begun?.over()
      ? ""
      : `revoke() waits for ${begun?.says()}, and ${importer.attachment.importerName} was never told: `;
    fw.breach("invalidate", `${waits}revoke does not invalidate: the importer still holds runs`);
  }
  const call = accessOf(world);
  if (yield* accepted(importer.use())) fw.breach(call, "gives memory that is revoked: refuse until it is restored");
  yield* exporter.restore();
  if (!(yield* accepted(importer.use()))) fw.breach(call, "refuses after restore");
  yield* importer.detach();
  checkGivenBack(world);
}
