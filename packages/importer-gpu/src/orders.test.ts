/**
 * Submission, job, flush and access against a revoke: all orders of a reduced set. A task that a driver, the engine or the
 * exporter begins runs at once up to its first wait; before and after the race there is one order.
 */
import { expect, it } from "vitest";
import { raceNamed } from "./testing/races.js";
import { search } from "./testing/search.js";
import { SERVING, type VariantId } from "./testing/variants.js";

/** How many orders there are: fewer where nothing of the exporter is to be unmapped. */
const ORDERS: Record<string, Partial<Record<VariantId, string>> & { readonly rest: string }> = {
  "validate × revoke": { pfn: "21", "pfn-locked": "22", rest: "37" },
  "listed job × vfio's revoke": { rest: "318" },
  "unlisted job × vfio's revoke": { pfn: "15", "pfn-locked": "15", rest: "16" },
  "unlisted job of two accesses × revoke": { pfn: "38", "pfn-locked": "38", rest: "49" },
  "listed job of two accesses × revoke": { rest: "1445" },
};

/** The longest, where it differs: maps in the submission, under the locks and before them. */
const SUBMISSIONS: readonly (readonly [VariantId, string, string])[] = [
  ["linux-7.3", "submission × vfio's revoke", "3940"],
  ["pfn", "submission × revoke", "783"],
  ["pfn-locked", "submission × revoke", "784"],
];

const CASES = SERVING.flatMap((id) =>
  Object.entries(ORDERS).map(([name, counts]) => [id, name, counts[id] ?? counts.rest] as const),
);

it.each([...CASES, ...SUBMISSIONS])(
  "%s: %s: in all %s orders, all but the user going at once to their first wait: nothing is stale, lost, stuck or left",
  (id, name, orders) => {
    expect(search(raceNamed(name), id)).toEqual([orders, []]);
  },
);
