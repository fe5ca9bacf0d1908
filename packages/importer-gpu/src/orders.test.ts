/** Submission, invalidate, flush and access in every order, against the exporter with the fewest steps. */
import { expect, it } from "vitest";
import { REFERENCE, search } from "./testing/races.js";
import type { VariantId } from "./testing/variants.js";

/** Beyond, a search is given up; those that are given up anyway try a few. `guards.test.ts` goes on at random. */
const ORDERS_MAX = 9000;
const FEW = 500;

/** How many orders each search tried: all there are, or, with a `/`, the first of them. */
const ORDERS: readonly (readonly [VariantId, string, string])[] = [
  ["dma-address", "validate × revoke", "1608"],
  ["pfn", "validate × revoke", "1080"],
  ["pfn-locked", "validate × revoke", "1104"],
  ["annotated-address", "validate × revoke", "1608"],
  ["linux-7.3", "validate × revoke", "1608"],
  ["linux-7.3", "validate × move", "1608"],
  ["linux-7.3", "unlisted job × revoke", "500/"],
  ["dma-address", "listed job × revoke", "500/"],
  ["pfn", "listed job × revoke", "500/"],
  ["pfn-locked", "listed job × revoke", "500/"],
  ["annotated-address", "listed job × revoke", "500/"],
  ["linux-7.3", "listed job × revoke", "500/"],
  ["pfn", "listed job × move", "500/"],
  ["linux-7.3", "listed job × move", "500/"],
];

it.each(ORDERS)("%s: %s: %s orders, and nothing stale, lost, stuck or left", (id, name, orders) => {
  const race = REFERENCE[name];
  if (!race) throw new RangeError(`no race ${name}`);
  expect(search(race, id, {}, orders.endsWith("/") ? FEW : ORDERS_MAX)).toEqual([orders, []]);
});
