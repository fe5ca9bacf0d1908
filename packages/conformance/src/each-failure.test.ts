import { expect, it } from "vitest";
import { eachFailure } from "./each-failure.js";

/** Runs with so many calls that can fail; what is wrong after the second. */
const runs = (calls: number) =>
  eachFailure(
    "mapping",
    (n) => ({ failed: n <= calls ? `map ${n}` : null, broken: n === 2 ? ["it leaks"] : [] }),
    (count) => `${count} failed`,
  );

it("each fails once, and the title says how many", () => {
  expect(runs(0)).toEqual({ title: "0 mappings seen", breaches: [] });
  expect(runs(1)).toEqual({ title: "1 failed", breaches: [] });
  expect(runs(3)).toEqual({ title: "3 failed", breaches: ["mapping 2 (map 2) fails: it leaks"] });
});
