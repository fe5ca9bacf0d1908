/** Every order of what a user does to an IOAS × a revoke × a device's access. */
import { describe, expect, it } from "vitest";
import { search } from "./testing/orders-world.js";

const ORDERS: readonly (readonly [string, string, number])[] = [
  ["nothing", "linux-7.3", 42],
  ["nothing", "annotated-address", 56],
  ["HWPT_ALLOC", "vma", 690],
  ["HWPT_ALLOC", "pfn", 690],
  ["HWPT_ALLOC", "pfn-locked", 690],
  ["HWPT_ALLOC", "annotated-address", 949],
  ["HWPT_ALLOC", "linux-7.3", 690],
  ["COPY", "linux-7.3", 2072],
  ["revalidate", "linux-7.3", 469],
  ["revalidate", "pfn-locked", 605],
];

describe.each(ORDERS)("%s × revoke × access", (act, id, n) => {
  it(`${id}: ${n} orders, all`, () => {
    expect(search(id, act, { races: true })).toEqual([`exhausted: ${n} orders`, []]);
  });
});
