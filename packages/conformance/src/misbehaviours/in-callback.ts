/** Importers that ask again at once, in the callback which tells them that the memory goes. */
import type { Contract, DmaBuf, DmaBufAttachment, Held, Op, SgTable } from "@dma-buf/core";
import { accepted } from "../accepted.js";
import { patiently } from "../patiently.js";
import type { ExporterCapability } from "../subject.js";
import type { ExporterWorld } from "../world.js";
import { liar, type Misbehaviour } from "./misbehaviour.js";

/** What can be asked with the reservation held: a callback must not wait for it. */
export function asksInCallback(capabilities: readonly ExporterCapability[], { rows }: Contract): Misbehaviour[] {
  const list: Misbehaviour[] = [];
  if (capabilities.includes("map") && rows.mapAttachment) list.push(mapsInCallback);
  if (capabilities.includes("get_pfn") && rows.getPfnAttachment) list.push(asksFrameInCallback);
  return list;
}

const mapsInCallback: Misbehaviour = {
  name: "map-in-callback",
  title: "an importer maps in its callback of a revoke: refused, or told again before revoke returns",
  *misbehave(w, buf) {
    let table: SgTable | null = null;
    yield* againstRevoke(w, buf, {
      *ask(at, held) {
        table = yield* w.fw.mapAttachment(at, "bidirectional", held);
      },
      *giveBack(at, held) {
        if (table) yield* w.fw.unmapAttachment(at, table, "bidirectional", held);
        table = null;
      },
    });
  },
};

const asksFrameInCallback: Misbehaviour = {
  name: "frame-in-callback",
  title: "an importer asks for a frame in its callback of a revoke: refused, or told again before revoke returns",
  misbehave: (w, buf) =>
    againstRevoke(w, buf, {
      *ask(at, held) {
        yield* w.fw.getPfnAttachment(at, 0, held);
      },
      *giveBack() {},
    }),
};

interface Asks {
  ask(at: DmaBufAttachment, held: Held): Op<void>;
  giveBack(at: DmaBufAttachment, held: Held): Op<void>;
}

/** What it gets in one callback it may keep until the next. */
function* againstRevoke(w: ExporterWorld, buf: DmaBuf, { ask, giveBack }: Asks): Op<void> {
  const { fw, exporter } = w;
  let [asked, has] = [false, false];
  const at = yield* liar(w, buf, function* (told, held) {
    yield* giveBack(told, held);
    has = !asked && (yield* accepted(ask(told, held)));
    asked = true;
  });
  const begun = yield* patiently(w, "revoke", accepted);
  if (has)
    fw.breach(
      "invalidate",
      "revoke() serves who asks in its callback, and does not tell it again: be revoked before you tell",
    );
  yield* amend();
  if (begun) yield* begun.join();
  if (exporter.restore) yield* exporter.restore();
  yield* fw.detachAttachment(buf, at);

  // Else a revoke that waits for all unmaps would not end.
  function* amend(): Op<void> {
    using held = yield* buf.resv.lock();
    yield* giveBack(at, held);
  }
}
