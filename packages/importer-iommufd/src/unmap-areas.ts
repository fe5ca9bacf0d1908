/** Areas go: whole ones, lowest first, when nobody has pins in them. Linux: `iopt_unmap_iova_range()`. */
import { DmaBufError, type Op, point, until } from "@dma-buf/core";
import type { Area } from "./area.js";
import { unfill } from "./fill.js";
import type { IovaRange } from "./intervals.js";
import type { IoPagetable } from "./io-pagetable.js";
import type { Pages } from "./pages.js";
import { hex64 } from "./u64.js";

/** As often pins are asked for before the unmap gives up. */
const TRIES = 100;

/**
 * Unmaps every area in the range. Sleeps until nothing of them is cached and the backings that nobody needs are given back.
 * @returns bytes unmapped, holes not counted
 * @throws DmaBufError as `IovaSpace.nextToUnmap()`, and `EDEADLK`, with a finding, when somebody keeps its pins. Areas
 * before the one that refused are gone
 */
export function* unmapAreas(iopt: IoPagetable, range: IovaRange): Op<bigint> {
  let unmapped = 0n;
  let left: IovaRange | null = range;
  while (left) {
    const pinned: Area | null = yield* unmapUnpinned(iopt, left, (bytes) => (unmapped += bytes));
    // What was unmapped is not looked at again: somebody may have mapped there meanwhile.
    left = pinned && { iova: pinned.iova, last: range.last };
    if (pinned) yield* askForPins(iopt, pinned);
  }
  return unmapped;
}

/** Unmaps up to the first area with pins, which it tells; `null`: there was none. */
function* unmapUnpinned(iopt: IoPagetable, range: IovaRange, unmapped: (bytes: bigint) => void): Op<Area | null> {
  using _lock = yield* iopt.domainsLock.read();
  let iova = range.iova;
  for (;;) {
    yield* point("iommufd.iova_rwsem");
    const area = iova <= range.last ? iopt.space.nextToUnmap({ iova, last: range.last }) : null;
    if (!area) return null;
    if (area.accesses > 0) return area;
    yield* tearDown(iopt, area);
    unmapped(area.length);
    iova = area.last + 1n;
  }
}

function* tearDown(iopt: IoPagetable, area: Area): Op<void> {
  const pages = area.pages as Pages;
  area.pages = null;
  for (const filled of area.filled.slice()) yield* unfill(pages, filled);
  iopt.space.remove(area);
  yield* pages.put();
}

/**
 * Until one area has no pins. `domains_rwsem` is not held: who gives back pins may need it. A try takes one tick, so that
 * who gives them back soon after the callback has his turn.
 */
function* askForPins(iopt: IoPagetable, area: Area): Op<void> {
  const { scheduler } = iopt.world.fw;
  const isFree = (): boolean => area.accesses === 0;
  for (let tries = 0; !isFree(); tries++) {
    if (tries === TRIES) giveUp(iopt, area);
    area.preventAccess = true;
    for (const access of iopt.accesses) yield* access.notifyUnmap(area.iova, area.length);
    yield* until("iommufd.unmap_retry", isFree, () => `pins at ${hex64(area.iova)}`, scheduler.now + 1);
  }
}

function giveUp({ world: { fw } }: IoPagetable, { iova, accesses }: Area): never {
  const rule = {
    id: "iommufd/access-unmap",
    op: "IOMMU_IOAS_UNMAP",
    stage: "map",
    source: "Linux 7.3, drivers/iommu/iommufd/io_pagetable.c: iopt_unmap_iova_range()",
  } as const;
  const message = `${accesses} pin(s) in the area at ${hex64(iova)} are not given back: unpin in the callback`;
  fw.env.report("warn", rule, "importer", message);
  throw new DmaBufError("EDEADLK", { ...rule, message, values: { iova, accesses } });
}
