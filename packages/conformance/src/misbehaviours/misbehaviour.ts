/** What the importers that lie or break their promise share, and how the exporter's waiting is watched. */
import type { DmaBuf, DmaBufAttachment, DmaBufAttachOps, Op } from "@dma-buf/core";
import { accepted } from "../accepted.js";
import { patiently } from "../patiently.js";
import { deviceOf, type ExporterWorld, type Way } from "../world.js";

/** One importer that does wrong, against an exporter that must not. */
export interface Misbehaviour {
  readonly name: string;
  readonly title: string;
  /** Does it leave something that nobody can give back any more? */
  readonly leaks?: boolean;
  misbehave(w: ExporterWorld, buf: DmaBuf): Op<void>;
}

/** Who is awaited, and must be named. */
export const LIAR = "importer that lies";

/** Attached, with a callback that does nothing unless told otherwise. */
export function liar(
  w: ExporterWorld,
  buf: DmaBuf,
  invalidateMappings: DmaBufAttachOps["invalidateMappings"] = () => {},
): Op<DmaBufAttachment> {
  const ops = { allowPeer2peer: true, invalidateMappings };
  return w.fw.dynamicAttach(buf, deviceOf(w), { name: LIAR, ops });
}

/** Nobody amends what is wrong until all is quiet: by then the exporter must still wait, and say for whom. */
export function* waits(w: ExporterWorld, way: Way, wrong: string, amend: Op<void>): Op<void> {
  const { fw, exporter } = w;
  const begun = yield* patiently(w, way, accepted);
  if (!begun) return;
  const { task, over, says, join } = begun;
  if (task.result === true) fw.breach("invalidate", `${way}() returns although ${wrong}: wait for it`);
  else if (!over() && !says().includes(LIAR))
    fw.breach("invalidate", `${way}() waits for ${says()}: name who is awaited, blockedOn must contain "${LIAR}"`);
  yield* amend;
  yield* join();
  if (task.state === "failed") fw.breach("invalidate", `${way}() fails: ${String(task.error)}`);
  if (way === "revoke" && exporter.restore) yield* exporter.restore();
}
