/** Importers that do not give their maps back. */
import { liar, type Misbehaviour, waits } from "./misbehaviour.js";

export const keptMap: Misbehaviour = {
  name: "kept-map",
  title: "an importer ignores its callback, and revoke waits for its unmap, by name",
  *misbehave(w, buf) {
    const at = yield* liar(w, buf);
    const table = yield* w.fw.mapAttachmentUnlocked(at, "bidirectional");
    const unmap = w.fw.unmapAttachmentUnlocked(at, table, "bidirectional");
    yield* waits(w, "revoke", "an importer still maps", unmap);
    yield* w.fw.detachAttachment(buf, at);
  },
};

export const secondMap: Misbehaviour = {
  name: "second-map",
  title: "an importer maps twice and unmaps once, and revoke waits for the other, by name",
  *misbehave(w, buf) {
    const at = yield* liar(w, buf);
    const first = yield* w.fw.mapAttachmentUnlocked(at, "bidirectional");
    const second = yield* w.fw.mapAttachmentUnlocked(at, "bidirectional");
    yield* w.fw.unmapAttachmentUnlocked(at, first, "bidirectional");
    const unmap = w.fw.unmapAttachmentUnlocked(at, second, "bidirectional");
    yield* waits(w, "revoke", "the second of two maps is out", unmap);
    yield* w.fw.detachAttachment(buf, at);
  },
};

export const leftMap: Misbehaviour = {
  name: "left-map",
  title: "an importer detaches with a map: others are served, and the buffer is released",
  leaks: true,
  *misbehave(w, buf) {
    const at = yield* liar(w, buf);
    yield* w.fw.mapAttachmentUnlocked(at, "bidirectional");
    yield* w.fw.detachAttachment(buf, at);
  },
};
