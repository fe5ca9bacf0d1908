import fc from "fast-check";
import { expect, it } from "vitest";
import type { Level } from "./lpage-info.js";
import { type Extent, levelOfOrder, postedLevel, safeLevel } from "./level.js";

it.each([
  [0, 1],
  [8, 1],
  [9, 2],
  [12, 2],
  [17, 2],
  [18, 3],
  [30, 3],
] as const)("order %i is level %i", (order, level) => expect(levelOfOrder(order)).toBe(level));

/** Where things lie, in units of a quarter of 2 MiB: the interesting places are multiples of leaves, or just beside. */
const frame = fc
  .record({ gib: fc.nat(2), half: fc.nat(8), by: fc.integer({ min: -1, max: 1 }) })
  .map(({ gib, half, by }) => 2 ** 18 * (gib + 1) + 256 * half + by);
/** Mostly congruent modulo some leaf, as page frames of a BAR and of a guest that was placed with care are. */
const away = fc.oneof(
  fc.constantFrom(0, 2 ** 18, 2 ** 20),
  fc.constantFrom(512, 1024),
  fc.integer({ min: -1, max: 600 }),
);
const drawn = fc.record({
  gfn: frame,
  away,
  pages: fc.constantFrom(1, 256, 511, 512, 513, 1024, 2 ** 17, 2 ** 18, 2 ** 18 + 1, 2 ** 19),
  into: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  max: fc.constantFrom<Level[]>(1, 2, 3),
  forbidden: fc.subarray([1, 2, 3]),
});

/** The oracle asks of the two ends and of congruence what the hardware asks: each frame of the leaf leads where the extent says. */
function oracle(gfn: number, { gfn: first, pfn, pages }: Extent, max: number, forbidden: readonly number[]): number {
  const fits = [3, 2].filter((level) => {
    const size = level === 3 ? 2 ** 18 : 512;
    const from = Math.floor(gfn / size) * size;
    const physical = pfn + from - first;
    const inside = [from, from + size - 1].every((at) => at >= first && at < first + pages);
    return level <= max && !forbidden.includes(level) && inside && physical % size === 0;
  });
  return fits[0] ?? 1;
}

it("law: the level is the largest that an oracle allows, frame by frame", () => {
  let large = 0;
  fc.assert(
    fc.property(drawn, ({ gfn, away: by, pages, into, max, forbidden }) => {
      const extent = { gfn, pfn: gfn + by, pages };
      const at = gfn + Math.floor(into * pages);
      const level = safeLevel(at, extent, max, (_gfn, of) => !forbidden.includes(of));
      expect(level).toBe(oracle(at, extent, max, forbidden));
      large += Number(level > 1);
    }),
    // One seed: what was drawn is counted below.
    { numRuns: 5000, seed: 1 },
  );
  expect(large).toBeGreaterThan(100);
});

it("as posted the order is believed where frames do not agree", () => {
  const extent = { gfn: 1, pfn: 0, pages: 512 };
  expect(postedLevel(100, extent, 3, () => true)).toBe(2);
  expect(safeLevel(100, extent, 3, () => true)).toBe(1);
  expect(postedLevel(100, extent, 3, (_gfn, level) => level === 1)).toBe(1);
});
