/** How slots, attributes and files take frames away from the guest. The MMU's side makes one. */
import type { Op } from "@dma-buf/core";
import type { GfnRange } from "./mmu.js";
import type { View } from "./zap.js";

/**
 * Begins an invalidate of the ranges, zaps what the guest has of `view` there, flushes, runs `change`, and ends it. From
 * its first step under `mmu_lock` until it is over, no fault installs in a range; what `change` does, every later fault
 * sees. Sleeps; call without `mmu_lock`.
 */
export type InvalidateGfns = (ranges: readonly GfnRange[], view: View, change: () => void) => Op<void>;
