/** A CPU mapping of a buffer as `pin_user_pages()` finds it: page frames without pages. */
import { refused } from "./dma-buf-pages.js";
import type { Op } from "@dma-buf/core";
import { type Piece, Pages } from "./pages.js";
import type { ImportBuffer } from "./world.js";

/** Nothing is looked at before a domain needs it. */
export const unpinnable: ImportBuffer = function* ({ fw }) {
  return new UnpinnablePages(fw.scheduler, true);
};

class UnpinnablePages extends Pages {
  readonly kind = "user";

  pin(): readonly Piece[] {
    throw refused("EFAULT", "the mapping is VM_PFNMAP, and its frames have no page to pin: map the buffer by its fd");
  }

  unpin(): void {}

  protected *release(): Op<void> {}
}
