import { expect, it } from "vitest";
import { groupBy } from "./group-by.js";

it("keys stand in the order in which they appear, and so do the items of each", () => {
  const groups = groupBy(["b1", "a1", "b2", "a2"], (text) => text[0]);
  expect([...groups]).toEqual([
    ["b", ["b1", "b2"]],
    ["a", ["a1", "a2"]],
  ]);
});
