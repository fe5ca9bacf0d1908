/**
 * Every order of what a user does to an IOAS × a revoke: afterwards no device reaches memory that is somebody else's, and
 * nothing is left. With a guard taken out, one does. A device in between: orders-access.test.ts.
 */
import { describe, expect, it } from "vitest";
import { SERVING } from "./testing/machine-world.js";
import { search } from "./testing/orders-world.js";

/** Orders by act, for vma, pfn, pfn-locked, annotated-address, linux-7.3. */
const ORDERS: Readonly<Record<string, readonly number[]>> = {
  MAP_FILE: [386, 710, 572, 803, 444],
  "MAP_FILE, attached before": [260, 474, 467, 653, 371],
  HWPT_ALLOC: [70, 70, 70, 91, 70],
  COPY: [182, 182, 182, 301, 182],
  UNMAP: [332, 332, 309, 582, 332],
  revalidate: [57, 126, 53, 53, 46],
};

describe.each(Object.entries(ORDERS))("%s × revoke", (act, orders) => {
  it.each(SERVING.map((id, i) => [id, orders[i] as number] as const))("%s: %i orders, all", (id, n) => {
    expect(search(id, act)).toEqual([`exhausted: ${n} orders`, []]);
  });
});

describe("MAP_FILE × move", () => {
  it.each([
    ["vma", 474],
    ["pfn", 710],
    ["pfn-locked", 572],
    ["annotated-address", 803],
  ] as const)("%s: %i orders, all", (id, n) => {
    expect(search(id, "MAP_FILE", { away: "move" })).toEqual([`exhausted: ${n} orders`, []]);
  });
});

describe("without", () => {
  it.each(SERVING)("the IOTLB flush, %s: STALE", (id) => {
    expect(search(id, "nothing", { guards: { flush: false }, races: true })[1]).toEqual(["STALE"]);
  });
  it.each(SERVING)("forgetting where it lay, %s: STALE", (id) => {
    expect(search(id, "HWPT_ALLOC", { guards: { revoked: false } })[1]).toEqual(["STALE"]);
  });
  it.each(SERVING)("pages->mutex, %s: STALE", (id) => {
    expect(search(id, "HWPT_ALLOC", { guards: { mutex: false } })[1]).toEqual(["STALE"]);
  });
  it.each(["vma", "pfn"])("the retry, %s, whose window holds nothing: STALE", (id) => {
    expect(search(id, "MAP_FILE", { guards: { retry: false } })[1]).toEqual(["STALE"]);
  });
  it.each(["pfn-locked", "annotated-address", "linux-7.3"])("the retry, %s: the reservation stands for it", (id) => {
    expect(search(id, "MAP_FILE", { guards: { retry: false } })[1]).toEqual([]);
  });
});
