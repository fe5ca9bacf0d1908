/** Mapping where something is mapped, as io-pgtable-arm has it. Linux: `arm_lpae_init_pte()`, drivers/iommu/io-pgtable-arm.c. */
import { hex } from "@dma-buf/core";
import type { LeafSizes } from "../leaf-size.js";
import { refuse } from "../refuse.js";
import { type Place, places } from "./inspect.js";
import { POWER } from "./layout.js";
import type { Mapping } from "./map.js";
import type { Tables } from "./tables.js";
import { unmapRange } from "./unmap.js";

/**
 * A leaf keeps its place against one that is as large or smaller. A larger one takes the place of the whole table in which
 * it is, with everything else in that table, and no errno says so; what TLBs hold of it is the caller's to flush. After
 * `ENOMEM` what was replaced is gone.
 * @throws DmaBufError `EEXIST` before anything is written. Linux meets what is in its way as it goes.
 */
export function makeRoom(tables: Tables, sizes: LeafSizes, { va, physical, sizeBytes }: Omit<Mapping, "flags">): void {
  const end = va + sizeBytes;
  const covered: Place[] = [];
  for (let at = va; at < end; ) {
    const from = at - va + physical;
    const log2 = sizes.best(at, from, end - at);
    const next = at + sizes.count(at, from, end - at, log2) * (POWER[log2] as number);
    for (const place of places(tables, at, next)) {
      if (place.sizeLog2 >= log2)
        refuse("EEXIST", "map", `${hex(place.va)} is mapped already: unmap it first`, { va: place.va });
      covered.push(place);
    }
    at = next;
  }
  for (const place of covered) unmapRange(tables, place.va, place.va + (POWER[place.sizeLog2] as number));
}
