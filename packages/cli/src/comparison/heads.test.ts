import { expect, it } from "vitest";
import { idParts, longestPart } from "./heads.js";

it.each<[string, number, string[]]>([
  ["pfn-locked", 10, ["pfn-locked"]],
  ["pfn-locked", 9, ["pfn-", "locked"]],
  ["my-own-rfc", 8, ["my-own-", "rfc"]],
  ["whatsoeverthisis", 12, ["whatsoeverth", "isis"]],
])("%s in %d columns", (id, width, parts) => {
  expect(idParts(id, width)).toEqual(parts);
  expect(longestPart(id)).toBeLessThanOrEqual(width);
});
