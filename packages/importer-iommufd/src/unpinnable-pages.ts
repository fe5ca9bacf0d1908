/** A CPU mapping of a buffer as `pin_user_pages()` finds it: page frames without pages. */
import { type Op, PAGE_SIZE } from "@dma-buf/core";
import { refused } from "./buffer-path.js";
import { type Piece, Pages } from "./pages.js";
import type { BufferRange, ImportBuffer, World } from "./world.js";

/** Nothing is looked at before a domain needs it. */
export const unpinnable: ImportBuffer = function* (world, range) {
  return new UnpinnablePages(world, range);
};

class UnpinnablePages extends Pages {
  readonly kind = "user";
  /** The mapping begins where a leaf of any size could: what counts is the place in the buffer. */
  readonly first: bigint;

  constructor({ fw }: World, { start, isWritable }: BufferRange) {
    super(fw.scheduler, isWritable);
    this.first = start - (start % BigInt(PAGE_SIZE));
  }

  pin(): readonly Piece[] {
    throw refused("EFAULT", "the mapping is VM_PFNMAP, and its frames have no page to pin: map the buffer by its fd");
  }

  unpin(): void {}

  protected *release(): Op<void> {}
}
