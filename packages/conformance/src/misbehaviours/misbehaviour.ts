/** What the importers that lie or break their promise share, and how the exporter's waiting is watched. */
import { type DmaBuf, type DmaBufAttachment, type DmaBufAttachOps, type Op, until } from "@dma-buf/core";
import { accepted } from "../accepted.js";
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

/** Modelled ticks in which whoever can run has run: what is not over by then hangs. */
const PATIENCE_TICKS = 10_000;

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
export function* waits({ fw, exporter }: ExporterWorld, way: Way, wrong: string, amend: Op<void>): Op<void> {
  const { scheduler } = fw;
  const op = exporter[way]?.call(exporter);
  if (!op) return;
  const task = scheduler.spawn("exporter", accepted(op));
  const over = (): boolean => task.state !== "runnable";
  yield* until("kit.patience", over, () => `${way}()`, scheduler.now + PATIENCE_TICKS);
  const says = task.wait?.blockedOn?.() ?? "nothing";
  if (task.result === true) fw.breach("invalidate", `${way}() returns although ${wrong}: wait for it`);
  else if (!over() && !says.includes(LIAR))
    fw.breach("invalidate", `${way}() waits for ${says}: name who is awaited, ${LIAR}`);
  yield* amend;
  yield* until("kit.join", over, () => `${way}()`);
  if (task.state === "failed") fw.breach("invalidate", `${way}() fails: ${String(task.error)}`);
  if (way === "revoke" && exporter.restore) yield* exporter.restore();
}
