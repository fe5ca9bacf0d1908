import { addr, PAGE_SIZE, pfnOf, type PhysAddr } from "@dma-buf/core";
import fc from "fast-check";
import { expect, it } from "vitest";
import { frameAt, pfnsOf, type PhysVec, sizeOf, sliceOf } from "./index.js";

const vecsOf = (ranges: readonly (readonly [number, number])[]): PhysVec[] =>
  ranges.map(([page, pages]) => ({ physical: addr<PhysAddr>(page * PAGE_SIZE), sizeBytes: pages * PAGE_SIZE }));

const ranges = fc.array(fc.tuple(fc.nat(40), fc.integer({ min: 1, max: 20 })), { minLength: 1, maxLength: 4 });

/** The largest order, tried from above: every page of the aligned run must lie in the range that the page is in. */
function bruteOrder(range: readonly [number, number], page: number): number {
  const [first, pages] = range;
  const fits = (order: number): boolean => {
    const start = page - (page % 2 ** order);
    return start >= first && start + 2 ** order <= first + pages;
  };
  return [6, 5, 4, 3, 2, 1, 0].find(fits) ?? 0;
}

it("the frame of every page, and the largest order around it, as brute force has them", () => {
  fc.assert(
    fc.property(ranges, (given) => {
      const vecs = vecsOf(given);
      const all = given.flatMap((range) =>
        Array.from({ length: range[1] }, (_, i) => ({ pfn: range[0] + i, maxOrder: bruteOrder(range, range[0] + i) })),
      );
      expect(all.map((_, pgoff) => frameAt(vecs, pgoff))).toEqual(all);
      expect(frameAt(vecs, all.length)).toBeNull();
      expect(pfnsOf(vecs)).toEqual(all.map(({ pfn }) => pfn));
      expect(sizeOf(vecs)).toBe(all.length * PAGE_SIZE);
    }),
  );
});

it("a range of 1 GiB that is aligned has order 18, up to its last page", () => {
  const [vec] = vecsOf([[0x4000_0000 / PAGE_SIZE, 2 ** 18]]) as [PhysVec];
  expect(frameAt([vec], 0)).toEqual({ pfn: pfnOf(vec.physical), maxOrder: 18 });
  expect(frameAt([vec], 2 ** 18 - 1)?.maxOrder).toBe(18);
  expect(
    frameAt(vecsOf([[0x4000_0001 / PAGE_SIZE + 1, 2 ** 18]].map(([p, n]) => [Math.floor(p as number), n as number])), 0)
      ?.maxOrder,
  ).toBe(0);
});

it.each([-1, 0.5, Number.NaN, Infinity, 2 ** 53])("%s is no page offset", (pgoff) => {
  expect(frameAt(vecsOf([[4, 4]]), pgoff)).toBeNull();
});

it("a slice has the pages that it should, in order, and no more than there are", () => {
  fc.assert(
    fc.property(ranges, fc.nat(80), fc.nat(80), (given, first, pages) => {
      const vecs = vecsOf(given);
      const framesOf = (of: readonly PhysVec[]): number[] =>
        of.flatMap((v) => Array.from({ length: v.sizeBytes / PAGE_SIZE }, (_, i) => pfnOf(v.physical) + i));
      const slice = sliceOf(vecs, first * PAGE_SIZE, pages * PAGE_SIZE);
      expect(framesOf(slice)).toEqual(framesOf(vecs).slice(first, first + pages));
      expect(slice.every((v) => v.sizeBytes > 0)).toBe(true);
    }),
  );
});
