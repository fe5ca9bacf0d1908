/** A CPU mapping of an exporter is `VM_PFNMAP`: `pin_user_pages()` and `hmm_range_fault()` refuse it, and so does every registration. */
import { type DmaBufAttachment, type Framework, type Op, type Window } from "@dma-buf/core";
import { reachAsMapped } from "@dma-buf/scatterlist";
import { look } from "./conduct.js";
import { refusal } from "./refuse.js";
import { plugin, type RdmaFactory, type RdmaPlugin, variant } from "./variant.js";

/** The user's mmap comes first, with what it may refuse; then the registration of its address. */
function* gup(fw: Framework, at: DmaBufAttachment): Op<Window> {
  const window = yield* look(fw, at);
  yield* window.close();
  throw refusal(
    "EFAULT",
    "pin_user_pages",
    "the mapping is VM_PFNMAP, it has no pages to pin: register the dma-buf itself",
  );
}

/** `rdmaImporter(options)(framework, host)`: `EFAULT` at map. */
export const rdmaImporter: RdmaFactory = variant({
  reach: () => reachAsMapped,
  open: gup,
  refusesEmptyAt: "mmap",
  syncs: false,
  stub: true,
  revocablePins: false,
});

export const dmaBufPlugin: RdmaPlugin = plugin(rdmaImporter, "vma");
