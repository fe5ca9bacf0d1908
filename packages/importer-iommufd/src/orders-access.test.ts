/** Every order of what a user does to an IOAS × a revoke × a device's access. */
import { describe, expect, it } from "vitest";
import { search } from "./testing/orders-world.js";

const ORDERS: readonly (readonly [string, string, number])[] = [
  ["nothing", "linux-7.3", 168],
  ["nothing", "annotated-address", 252],
  ["HWPT_ALLOC", "vma", 3785],
  ["HWPT_ALLOC", "pfn", 3785],
  ["HWPT_ALLOC", "pfn-locked", 3785],
  ["HWPT_ALLOC", "annotated-address", 5490],
  ["HWPT_ALLOC", "linux-7.3", 3785],
  ["COPY", "linux-7.3", 12943],
  ["revalidate", "linux-7.3", 2653],
  ["revalidate", "pfn-locked", 3792],
];

describe.each(ORDERS)("%s × revoke × access", (act, id, n) => {
  it(`${id}: ${n} orders, all`, () => {
    expect(search(id, act, { races: true })).toEqual([`exhausted: ${n} orders`, []]);
  });
});
