/** From a backing into a domain's table, and out of it again. Linux: `batch_to_domain()`, `iopt_area_unfill_domain()`. */
import { type Op, PAGE_SIZE, type PhysAddr, point } from "@dma-buf/core";
import type { Protection } from "@dma-buf/page-table";
import type { Area } from "./area.js";
import type { IommufdDomain } from "./host.js";
import type { Pages } from "./pages.js";

/** How tables are written. */
export interface FillOptions {
  /** Flush the IOTLB after unmapping? */
  readonly flush: boolean;
  /** May a leaf be larger than a page? */
  readonly largePages: boolean;
}

/** An area that is entered in a domain. */
export interface Filled {
  readonly domain: IommufdDomain;
  readonly area: Area;
  readonly options: FillOptions;
  /** Does the table hold it? Not when the buffer was revoked. Changes under the mutex of the backing. */
  isMapped: boolean;
}

/**
 * Enters an area in a domain: from now on it is mapped there whenever the backing lies anywhere. Takes the mutex of the
 * backing. @throws DmaBufError what pinning or the table refuses with; nothing is left
 */
export function* fill(pages: Pages, area: Area, domain: IommufdDomain, options: FillOptions): Op<Filled> {
  using _mutex = yield* pages.mutex.write();
  const filled: Filled = { domain, area, options, isMapped: false };
  yield* install(pages, filled);
  pages.filled.add(filled);
  area.filled.push(filled);
  return filled;
}

/** Undoes {@link fill}. Sleeps until nothing of it is cached. */
export function* unfill(pages: Pages, filled: Filled): Op<void> {
  using _mutex = yield* pages.mutex.write();
  yield* clear(pages, filled);
  pages.filled.delete(filled);
  const { filled: all } = filled.area;
  all.splice(all.indexOf(filled), 1);
}

/** Writes the table; nothing, if the backing lies nowhere. The mutex is held. @throws DmaBufError as {@link fill} */
export function* install(pages: Pages, filled: Filled): Op<void> {
  const { domain, area, options } = filled;
  const [offset, sizeBytes] = bytesOf(area);
  const pieces = pages.pin(offset, sizeBytes);
  if (!pieces) return;
  const iova = Number(area.iova);
  let done = 0;
  try {
    for (const { physical, sizeBytes: length, cache } of pieces) {
      yield* point("iommufd.iommu_map");
      const protection: Protection = { ...area.permissions, ...(cache ? { cache } : {}) };
      const most = options.largePages ? length : PAGE_SIZE;
      for (let at = 0; at < length; at += most) {
        const bytes = Math.min(most, length - at);
        domain.table.map(iova + done, (physical + at) as PhysAddr, bytes, protection);
        done += bytes;
      }
    }
    filled.isMapped = true;
  } finally {
    if (!filled.isMapped) {
      if (done > 0) yield* unmap(filled, iova, done);
      pages.unpin(offset, sizeBytes);
    }
  }
}

/** Empties the table. The mutex is held. Sleeps until nothing of it is cached: what was pinned is given back after that. */
export function* clear(pages: Pages, filled: Filled): Op<void> {
  if (!filled.isMapped) return;
  const [offset, sizeBytes] = bytesOf(filled.area);
  filled.isMapped = false;
  yield* unmap(filled, Number(filled.area.iova), sizeBytes);
  pages.unpin(offset, sizeBytes);
}

function* unmap({ domain, options }: Filled, iova: number, sizeBytes: number): Op<void> {
  const gather: PhysAddr[] = [];
  domain.table.unmap(iova, sizeBytes, gather);
  if (options.flush) yield* domain.flush();
  for (const table of gather) domain.memory.freeTable(table);
}

/** Domains reach less than 2^53, so here a Number is exact. */
function bytesOf({ offset, length }: Area): [number, number] {
  return [Number(offset), Number(length)];
}
