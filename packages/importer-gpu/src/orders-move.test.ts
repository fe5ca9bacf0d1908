/** Job, flush, copy and access against a move by the exporting GPU's driver: all orders of the set that `orders.test.ts` has. */
import { expect, it } from "vitest";
import { raceNamed } from "./testing/races.js";
import { search } from "./testing/search.js";
import type { VariantId } from "./testing/variants.js";

const ORDERS: readonly (readonly [VariantId, string, string])[] = [
  ["dma-address", "listed job × a GPU's move", "2838"],
  ["pfn", "listed job × a GPU's move", "528"],
  ["pfn-locked", "listed job × a GPU's move", "528"],
  ["annotated-address", "listed job × a GPU's move", "2838"],
  ["linux-7.3", "listed job × a GPU's move", "2838"],
  ["linux-7.3", "submission × move", "799"],
  ["pfn", "submission × move", "783"],
];

it.each(ORDERS)(
  "%s: %s: in all %s orders, all but the user going at once to their first wait: nothing is stale, lost, stuck or left",
  (id, name, orders) => {
    expect(search(raceNamed(name), id)).toEqual([orders, []]);
  },
);
