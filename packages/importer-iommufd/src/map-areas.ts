/** Areas come: placed, occupied, filled in every domain, and only then there. Linux: `iopt_map_pages()`. */
import { DmaBufError, type Op, point } from "@dma-buf/core";
import { Area } from "./area.js";
import { fill, unfill } from "./fill.js";
import type { IoPagetable } from "./io-pagetable.js";
import type { Pages } from "./pages.js";
import type { MapAccess } from "./validate.js";

/** Bytes of a backing that become an area. */
export interface Slice {
  readonly pages: Pages;
  readonly offset: bigint;
  readonly length: bigint;
}

/**
 * Makes an area of each slice, one behind the other. The areas take over the references that come with the slices; after
 * a refusal the caller has them still. Reads `domains_rwsem`.
 * @returns the IOVA of the first
 * @throws DmaBufError as `IovaSpace.place()` and `fill()`, and `EPERM` to be written, and the backing is read-only
 */
export function* mapAreas(iopt: IoPagetable, slices: readonly Slice[], access: MapAccess): Op<bigint> {
  using _lock = yield* iopt.domainsLock.read();
  yield* point("iommufd.iova_rwsem");
  iopt.world.checkOpen("IOMMU_IOAS_MAP");
  const areas = occupy(iopt, slices, access);
  let done = false;
  try {
    for (const [i, area] of areas.entries())
      for (const domain of iopt.domains) yield* fill((slices[i] as Slice).pages, area, domain, iopt.fillOptions);
    done = true;
  } finally {
    if (!done) yield* abort(iopt, slices, areas);
  }
  for (const [i, area] of areas.entries()) area.pages = (slices[i] as Slice).pages;
  return (areas[0] as Area).iova;
}

/** In one step: all, or none. */
function occupy({ space }: IoPagetable, slices: readonly Slice[], access: MapAccess): Area[] {
  const { readable: read, writeable: write, iova } = access;
  const length = slices.reduce((sum, slice) => sum + slice.length, 0n);
  const first = space.place({ iova, addressHint: hintOf(slices), length });
  const areas: Area[] = [];
  let next = first;
  try {
    for (const { pages, offset, length: bytes } of slices) {
      if (write && !pages.isWritable) throw readOnly(offset);
      const area = new Area(next, bytes, offset, { read, write });
      space.insert(area);
      areas.push(area);
      next += bytes;
    }
    return areas;
  } catch (error) {
    for (const area of areas) space.remove(area);
    throw error;
  }
}

/** The address, or the offset in the file, of the first byte: a chosen IOVA keeps its alignment. */
function hintOf([first]: readonly Slice[]): bigint {
  return first ? first.pages.first + first.offset : 0n;
}

function* abort({ space }: IoPagetable, slices: readonly Slice[], areas: readonly Area[]): Op<void> {
  for (const [i, area] of areas.entries()) {
    for (const filled of area.filled.slice()) yield* unfill((slices[i] as Slice).pages, filled);
    space.remove(area);
  }
}

function readOnly(offset: bigint): DmaBufError {
  return new DmaBufError("EPERM", {
    op: "IOMMU_IOAS_MAP",
    stage: "map",
    message: "the backing is read-only: map it without WRITEABLE",
    values: { offset },
  });
}
