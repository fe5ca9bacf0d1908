/** Tables for importers: RAM by the DMA API, VRAM by what the contract makes of it. */
import {
  type Attributes,
  type DmaBufAttachment,
  DmaBufError,
  type DmaBufOps,
  type Direction,
  type Op,
} from "@dma-buf/core";
import { type Common, mapPhysVecs, pfnsOf, type PhysVec, type PhysVecTable, ScatterList } from "@dma-buf/scatterlist";
import { type OwnedBo, refuse } from "./buffer-object.js";
import { type Gpu, overFabric } from "./gpu.js";
import type { Place } from "./host.js";
import { rule } from "./move.js";
import { placeFor } from "./placement.js";

const OP = "amdgpu_dma_buf_map";

/** A table of a place, for one attachment. The reservation is held; a refusal leaves nothing mapped. */
export type MapPlace = (gpu: Gpu, place: Place, at: DmaBufAttachment, direction: Direction) => Op<PhysVecTable>;

export function mappable(
  gpu: Gpu,
  bo: OwnedBo,
  map: Record<Place["domain"], MapPlace>,
): Pick<DmaBufOps, "mapDmaBuf" | "unmapDmaBuf"> {
  return {
    *mapDmaBuf(at, direction, held) {
      const place = yield* placeFor(gpu, bo, at, held, "address");
      gpu.fw.env.alloc(rule(place.domain === "vram" ? "amdgpu_vram_mgr_alloc_sgt" : "drm_prime_pages_to_sg", "map"));
      const table = yield* map[place.domain](gpu, place, at, direction);
      gpu.tables++;
      return table;
    },
    *unmapDmaBuf(_at, table) {
      yield* (table as PhysVecTable).free();
      gpu.tables--;
    },
  };
}

/**
 * RAM by `dma_map_sgtable()`. `attributes` where runs say their space.
 * @throws DmaBufError `EIO` it would bounce; else what the DMA API says; as posted it bounces, and what fails is `EBUSY`, whatever that was
 */
export const ramTable = (attributes: Attributes | null = null): MapPlace =>
  function* (gpu, place, at, direction) {
    const vecs = visible(gpu, place);
    try {
      const options = {
        provider: null,
        mmio: false,
        // A bounce buffer would come between the device and everybody else, and nobody syncs it.
        requireCoherent: !gpu.options.asPosted,
        attributes,
        pages: pfnsOf(vecs),
      };
      return yield* mapPhysVecs(at.device, vecs, direction, options);
    } catch (cause) {
      if (!(gpu.options.asPosted && cause instanceof DmaBufError)) throw cause;
      throw new DmaBufError("EBUSY", { op: OP, stage: "map", message: cause.message, cause });
    }
  };

/** VRAM in a table that says nothing of spaces: by the BAR. As posted the route is not asked for: `dma_map_resource()`. */
export const plainVram: MapPlace = function* (gpu, place, at, direction) {
  const { fw, host, options } = gpu;
  const fabric = gpu.memory.fabricBlocks(place);
  if (options.checksImporter === false && !gpu.memory.isVisible(place) && fabric) return ready({ kind: "dma" }, fabric);
  if (overFabric(gpu, at)) {
    fw.report("warn", "mapDmaBuf", "importer", `${at.importerName} maps VRAM that it reaches over the fabric`);
    refuse("EINVAL", OP, "map", `${at.importerName} is in the fabric of ${host.name}: ask for the fabric's addresses`);
  }
  // Nor is the end of the window: what lies beyond it gets an address behind which it is not.
  const unasked = options.asPosted && host.window !== null;
  const vecs = unasked ? gpu.memory.uncheckedVecs(place) : visible(gpu, place);
  const provider = unasked ? null : host.provider;
  return yield* mapPhysVecs(at.device, vecs, direction, { provider, mmio: true });
};

/** A table of addresses that need no mapping. */
export function ready(
  common: Common,
  blocks: readonly { readonly address: number; readonly sizeBytes: number }[],
): PhysVecTable {
  const runs = new ScatterList(common, { capacity: blocks.length });
  for (const { address, sizeBytes } of blocks) runs.append(address, sizeBytes);
  return { runs, *free() {} };
}

/** @throws DmaBufError `EOPNOTSUPP` where the window does not show all of it */
export function visible({ host, memory }: Gpu, place: Place): readonly PhysVec[] {
  return (
    memory.physVecs(place) ??
    refuse("EOPNOTSUPP", OP, "map", `a part of it is where the BAR of ${host.name} does not show VRAM: unpin it first`)
  );
}
