/** Every order of the second half of MAP_FILE × a revoke × a device's access: the longest of these searches. */
import { expect, it } from "vitest";
import { search } from "./testing/orders-world.js";

it("MAP_FILE × revoke × access, linux-7.3: 39043 orders, all", { timeout: 240_000 }, () => {
  expect(search("linux-7.3", "MAP_FILE, attached before", { races: true })).toEqual(["exhausted: 39043 orders", []]);
});
