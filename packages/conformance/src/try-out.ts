/** One use of each thing that an exporter may offer, undone again. */
import { type DmaBuf, type DmaBufAttachment, type Op, type PfnAnswer, type Vma } from "@dma-buf/core";
import type { Recorder } from "./recorder.js";
import { ReferenceImporter } from "./reference-importer.js";
import type { ExporterCapability } from "./subject.js";
import type { ExporterWorld } from "./world.js";

/** An importer without operations. */
export function* staticUse({ fw, host }: ExporterWorld, buf: DmaBuf): Op<void> {
  const at = yield* fw.staticAttach(buf, host.device, "static importer");
  try {
    const table = yield* fw.mapAttachmentUnlocked(at, "bidirectional");
    yield* fw.unmapAttachmentUnlocked(at, table, "bidirectional");
  } finally {
    yield* fw.detachAttachment(buf, at);
  }
}

/** What stands behind a capability. */
export function* tryOut({ fw, host }: ExporterWorld, buf: DmaBuf, capability: ExporterCapability): Op<void> {
  if (capability === "cpu-access") {
    yield* fw.beginAccess(buf, "bidirectional");
    yield* fw.endAccess(buf, "bidirectional");
  } else if (capability === "mmap") {
    const vma: Vma = { pgoff: 0, pages: 1, buf: null, fault: null };
    yield* fw.munmap(yield* fw.mmapFile(buf, vma));
  } else if (capability === "vmap") {
    yield* fw.vunmapBufferUnlocked(buf, yield* fw.vmapBufferUnlocked(buf));
  } else {
    const importer = new ReferenceImporter(fw);
    yield* importer.attach(buf, host.device);
    try {
      yield* attached(fw, importer.attachment, capability);
    } finally {
      yield* importer.detach();
    }
  }
}

/** What only an attachment can be asked. */
function* attached(fw: Recorder, at: DmaBufAttachment, capability: ExporterCapability): Op<void> {
  if (capability === "get_pfn") return void (yield* askFrame(fw, at, 0));
  if (capability === "map")
    return yield* fw.unmapAttachmentUnlocked(at, yield* fw.mapAttachmentUnlocked(at, "to-device"), "to-device");
  using held = yield* at.buf.resv.lock();
  yield* fw.pinAttachment(at, held);
  yield* fw.unpinAttachment(at, held);
}

/** As the contract has it: by a call that wants the reservation, or by one that takes it. */
export function* askFrame(fw: Recorder, at: ReferenceImporter["attachment"], pgoff: number): Op<PfnAnswer> {
  if (!fw.contract.rows.getPfnAttachment) return yield* fw.getPfnUnlocked(at, pgoff);
  using held = yield* at.buf.resv.lock();
  return yield* fw.getPfnAttachment(at, pgoff, held);
}
