/** Whom a BAR can be served to, and how: what the variants are put together from. */
import type { Attributes, Device, DmaBufAttachment, DmaBufOps, PfnAnswer, Rule } from "@dma-buf/core";
import {
  frameAt,
  type MapOptions,
  mapPhysVecs,
  p2pDistance,
  type PhysVecTable,
  whyNotByPfn,
} from "@dma-buf/scatterlist";
import type { VfioDmaBuf } from "./buffer.js";
import { refuse } from "./refuse.js";

/**
 * A dynamic exporter that cannot be pinned: a BAR goes when the guest says so. Without `pin`, Linux 6.13 takes the
 * exporter for a static one, maps at attach, and never asks again after a revoke.
 */
export const unpinnable: Pick<DmaBufOps, "pin" | "unpin"> = {
  pin: () => refuse("EINVAL", "pin", "a BAR cannot be pinned: import with the invalidate callback"),
  unpin() {},
};

/** Every address of a BAR is a peer's. */
export function needPeer2peer(at: DmaBufAttachment): void {
  if (!at.peer2peer)
    refuse("EOPNOTSUPP", "attach", `${at.importerName} does not take peer-to-peer addresses: a BAR has no other`);
}

/** Who cannot be told to stop would be waited for without end. */
export function needRevocable(at: DmaBufAttachment, { owner }: VfioDmaBuf): void {
  if (!owner.fw.isRevocable(at))
    refuse(
      "EOPNOTSUPP",
      "attach",
      `${at.importerName} cannot be told that the BAR goes: bring the invalidate callback`,
    );
}

/**
 * Is there a route at all? Asked at attach, so that the errno comes before anybody maps. A device that is on no bus does no
 * DMA: iommufd attaches with one, and asks for the range in private. Should it map, it is refused then.
 */
export function needRoute(at: DmaBufAttachment, { owner, provider }: VfioDmaBuf): void {
  const device = at.device as Device;
  if (device.spaces.length === 0) return;
  const { mapType, reason } = p2pDistance(provider, device);
  if (mapType === "not-supported")
    refuse("EOPNOTSUPP", "attach", `${at.importerName} cannot reach ${owner.host.name}: ${reason}`);
}

/** Who asks for page frames with a device maps them with `dma_map_phys()`: does that lead to the BAR? */
export function needRouteByPfn(at: DmaBufAttachment, { owner, provider }: VfioDmaBuf): void {
  const why = at.device && whyNotByPfn(provider, at.device);
  if (why) refuse("EOPNOTSUPP", "attach", `${at.importerName} cannot reach ${owner.host.name} by PFN: ${why}`);
}

/** How a variant maps, apart from what all have in common. */
export interface HowToMap {
  /** Given: each run says its space, and these. @defaultValue null: runs are DMA addresses */
  attributes?(): Attributes;
  /** For one importer. */
  options?(device: Device): Partial<MapOptions>;
  /** Is the entry array of a table lost when the table is freed? */
  losesEntries?(): boolean;
}

export type Mapping = Required<Pick<DmaBufOps, "mapDmaBuf" | "unmapDmaBuf">>;

/** Maps with `dma_buf_phys_vec_to_sgt()`; each live mapping is counted, for the revoke that waits for its end. */
export function mapping(priv: VfioDmaBuf, how: HowToMap = {}): Mapping {
  const { owner, provider, vecs } = priv;
  const { env } = owner.fw;
  const isTagged = how.attributes !== undefined && owner.tagsOwner;
  return {
    *mapDmaBuf(at, direction) {
      const { device, importerName } = at;
      priv.checkNotRevoked("map");
      if (!isTagged) priv.checkShared(at, "map");
      for (const op of ["dma_buf_phys_vec_to_sgt", "sg_alloc_table"]) env.alloc(allocation(op));
      const attributes = how.attributes?.() ?? null;
      const options = { provider, mmio: true, attributes, ...(device && how.options?.(device)) };
      const table = yield* mapPhysVecs(device, vecs, direction, options);
      owner.tables.made++;
      priv.mapped(table, importerName);
      return table;
    },
    *unmapDmaBuf(_at, table) {
      yield* (table as PhysVecTable).free();
      if (!how.losesEntries?.()) owner.tables.made--;
      priv.unmapped(table);
    },
  };
}

/** Tells page frames, each with the largest order that `limit` leaves of it. */
export function frames(
  priv: VfioDmaBuf,
  limit: (maxOrder: number) => number = (n) => n,
): Required<Pick<DmaBufOps, "getPfn">> {
  return {
    getPfn(at, pgoff): PfnAnswer {
      priv.checkNotRevoked("query");
      priv.checkShared(at, "query");
      const told = frameAt(priv.vecs, pgoff);
      if (!told)
        return refuse("EINVAL", "query", `page ${pgoff} is not in the buffer: ask from 0 and below its size`, {
          pgoff,
        });
      return { ...told, maxOrder: limit(told.maxOrder) };
    },
  };
}

function allocation(op: string): Rule {
  return { id: `vfio/${op}`, op, stage: "map", source: "Linux 7.3, drivers/dma-buf/dma-buf-mapping.c" };
}
