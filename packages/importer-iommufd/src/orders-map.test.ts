/** Every order of the second half of MAP_FILE × a revoke × a device's access: the longest of these searches. */
import { expect, it } from "vitest";
import { search } from "./testing/orders-world.js";

it("MAP_FILE × revoke × access, linux-7.3: 5173 orders, all", () => {
  expect(search("linux-7.3", "MAP_FILE, attached before", { races: true })).toEqual(["exhausted: 5173 orders", []]);
});
