/** Mapping for the attached device: a new table each time, out of the pages as they lie now. */
import { type Attributes, type Device, type Direction, type DmaBufOps, DmaBufError, type Op } from "@dma-buf/core";
import { mapPhysVecs, pfnsOf, type PhysVecTable } from "@dma-buf/scatterlist";
import type { Backing } from "./backing.js";
import { refuse } from "./refuse.js";

/** How pages are mapped for devices. */
export interface MapHow {
  /**
   * May the device get a copy that nobody keeps equal? Linux 7.3 lets it, silently; else what would bounce is refused with
   * `EIO`.
   */
  readonly bounces: boolean;
  /** Given: each run says its space, and these. @defaultValue none */
  readonly attributes?: Attributes;
}

/**
 * Maps the pages for `device`; for nobody's device, the CPU's addresses with their attributes.
 * @throws DmaBufError `ENOMEM` no memory, or no IOVA is left · `EIO` it would bounce and must not, or cannot. Stage `map`;
 * nothing is left.
 */
export function* tableFor(
  backing: Backing,
  device: Device | null,
  direction: Direction,
  how: MapHow,
): Op<PhysVecTable> {
  const { world } = backing;
  world.alloc("sg_alloc_table_from_pages", "map");
  const ranges = backing.ranges();
  const { bounces, attributes = null } = how;
  const options = { provider: null, mmio: false, requireCoherent: !bounces, attributes, pages: pfnsOf(ranges) };
  const mapping = mapPhysVecs(device, ranges, direction, options);
  const table = yield* bounces && device ? dmaMapped(device, mapping) : mapping;
  world.out.tables++;
  return {
    ...table,
    *free() {
      world.out.tables--;
      yield* table.free();
    },
  };
}

/** Linux: `dma_map_sgtable()`, which has one errno for all that dma-direct does not map: no bounce buffer, or none left. */
function* dmaMapped(device: Device, mapping: Op<PhysVecTable>): Op<PhysVecTable> {
  try {
    return yield* mapping;
  } catch (error) {
    const isTranslated = device.spaces.some((space) => space.kind === "iova");
    if (!(error instanceof DmaBufError) || isTranslated) throw error;
    return refuse("EIO", "map", `${device.name} cannot map these pages: ${error.message}`);
  }
}

/** The callbacks of an exporter that maps. */
export function mapped(backing: Backing, how: MapHow): Required<Pick<DmaBufOps, "mapDmaBuf" | "unmapDmaBuf">> {
  return {
    mapDmaBuf: (at, direction) => tableFor(backing, at.device, direction, how),
    unmapDmaBuf: (_at, table) => (table as PhysVecTable).free(),
  };
}
