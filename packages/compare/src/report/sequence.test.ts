import { expect, it } from "vitest";
import { sequence } from "./sequence.js";
import { event } from "./testing.js";

const stores = (n: number) => Array.from({ length: n }, (_, i) => event(i, "main", "store", `entry ${i}.`));

it("shows a trace whole, a row an event", () => {
  const { text } = sequence(stores(300));
  expect(text.match(/class="k-store"/g)).toHaveLength(300);
  expect(text).not.toContain("left out");
});

it("shows beginning and end of one that is too long, and says how much is between", () => {
  const { text } = sequence(stores(10_300));
  expect(text).toContain("10,000 events left out");
  for (const shown of ["entry 0.", "entry 119.", "entry 10120.", "entry 10299."]) expect(text).toContain(shown);
  for (const left of ["entry 120.", "entry 10119."]) expect(text).not.toContain(left);
});

it("draws a lock as held up to where it is given", () => {
  const { text } = sequence([
    event(1, "main", "lock", "resv(x) locked"),
    event(2, "main", "store", "entry"),
    event(3, "main", "unlock", "resv(x) unlocked"),
    event(4, "main", "store", "entry"),
  ]);
  const held = text
    .split("<tr ")
    .slice(1)
    .map((row) => [...row.matchAll(/class="held"[^>]*y1="(\w+)" y2="([\w%]+)"/g)].map((m) => [m[1], m[2]]));
  expect(held).toEqual([[["11", "100%"]], [["0", "100%"]], [["0", "11"]], []]);
});
