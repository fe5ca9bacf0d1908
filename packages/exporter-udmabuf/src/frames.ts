/** Telling page frames. */
import { type DmaBufAttachment, type DmaBufOps, PAGE_SIZE, type PfnAnswer } from "@dma-buf/core";
import { frameAt, sliceOf } from "@dma-buf/scatterlist";
import type { Backing } from "./backing.js";
import { refuse } from "./refuse.js";

/**
 * The callbacks of an exporter that tells frames: each with the largest aligned run of RAM around it. Nothing is mapped, so
 * nothing pins for an importer that cannot be told of a move: where pages move it is refused at attach.
 */
export function framed(backing: Backing): Pick<DmaBufOps, "attach" | "getPfn"> {
  const { fw } = backing.world;
  const needRevocable = (at: DmaBufAttachment): void => {
    if (!fw.isRevocable(at))
      refuse(
        "EOPNOTSUPP",
        "attach",
        `${at.importerName} cannot be told that a page moves: bring the invalidate callback`,
      );
  };
  return {
    ...(backing.isMovable ? { attach: needRevocable } : {}),
    getPfn: (at, pgoff) =>
      frameAt(backing.ranges(), pgoff) ??
      refuse(
        "EINVAL",
        "query",
        `page ${pgoff} is none of the ${at.buf.sizeBytes / PAGE_SIZE} of the buffer: ask below`,
        { pgoff },
      ),
  };
}

/**
 * A CPU mapping is filled at its faults. The RAM around the frame counts as far as the mapping shows it; the code as merged
 * puts base pages into page tables, whatever lies behind them.
 */
export function faulting(backing: Backing): Required<Pick<DmaBufOps, "mmap">> {
  return {
    mmap(buf, vma) {
      if (vma.isPrivate) refuse("EINVAL", "mmap", "a private mapping would copy what devices write: map it shared");
      vma.fault = (page): PfnAnswer => {
        const shown = sliceOf(backing.ranges(), vma.pgoff * PAGE_SIZE, vma.pages * PAGE_SIZE);
        const frame = frameAt(shown, page);
        if (!frame)
          return refuse(
            "EFAULT",
            "mmap",
            `page ${page} is none of the mapping's, or beyond ${buf.exporterName}: SIGBUS`,
            { page },
          );
        return backing.world.asPosted ? { ...frame, maxOrder: 0 } : frame;
      };
    },
  };
}
