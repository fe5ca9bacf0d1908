/** The page size of a region, against what it must be and cannot be more. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { bestPageSize, type Extent } from "./page-size.js";
import { TranslationTable } from "./translation.js";

const PAGE = 4096;
const SIZES = [12, 16, 21, 30];

const pages = (max: number): fc.Arbitrary<number> => fc.integer({ min: 1, max }).map((n) => n * PAGE);
const region = fc
  .record({
    /** Some are made to be large pages, some not. */
    extents: fc.array(
      fc.record({
        address: fc.oneof(
          pages(2 ** 20),
          fc.nat({ max: 64 }).map((n) => n * 2 ** 21),
        ),
        sizeBytes: fc.oneof(
          pages(64),
          fc.integer({ min: 1, max: 4 }).map((n) => n * 2 ** 21),
        ),
      }),
      { minLength: 1, maxLength: 5 },
    ),
    iovaPage: fc.oneof(
      fc.nat({ max: 2 ** 20 }),
      fc.nat({ max: 2 ** 10 }).map((n) => n * 512),
    ),
    within: fc.nat({ max: PAGE - 1 }),
    cut: fc.nat({ max: PAGE - 1 }),
  })
  .map(({ extents, iovaPage, within, cut }) => {
    const whole = extents.reduce((n, e) => n + e.sizeBytes, 0);
    const sizeBytes = Math.max(1, whole - within - cut);
    return { extents, iova: iovaPage * PAGE + within, sizeBytes };
  });

/** Where byte `iova + n` is, by looking at the extents one after the other. */
function place(extents: readonly Extent[], within: number, n: number): number {
  let at = within + n;
  for (const { address, sizeBytes } of extents) {
    if (at < sizeBytes) return address + at;
    at -= sizeBytes;
  }
  throw new RangeError("beyond");
}

it("every byte is where the extents have it, in the page size that was chosen and not in the next one", () => {
  fc.assert(
    fc.property(
      region,
      fc.array(fc.nat({ max: 2 ** 24 }), { maxLength: 40 }),
      ({ extents, iova, sizeBytes }, probes) => {
        const chosen = bestPageSize(extents, { iova, sizeBytes }, SIZES);
        expect(SIZES.map((log2) => 2 ** log2)).toContain(chosen);
        const within = iova % PAGE;
        const edges = extents.flatMap((_e, i) => extents.slice(0, i + 1).reduce((n, e) => n + e.sizeBytes, -within));
        const all = [0, sizeBytes - 1, ...probes, ...edges, ...edges.map((n) => n - 1)].filter(
          (n) => n >= 0 && n < sizeBytes,
        );
        const isRight = (pageBytes: number): boolean => {
          const table = new TranslationTable(iova, sizeBytes, pageBytes);
          table.fill(extents, iova - within);
          return all.every((n) => table.look(iova + n)?.address === place(extents, within, n));
        };
        expect(isRight(chosen)).toBe(true);
        const larger = SIZES.map((log2) => 2 ** log2).find((size) => size > chosen);
        const fitsInOne = Math.floor(iova / chosen) === Math.floor((iova + sizeBytes - 1) / chosen);
        if (larger && !fitsInOne) expect(agrees(extents, iova, larger)).toBe(false);
      },
    ),
    { numRuns: 500 },
  );
});

/** Could pages of that size do it? Each holds bytes of one extent at the place that they have in the page. */
function agrees(extents: readonly Extent[], iova: number, pageBytes: number): boolean {
  let va = iova - (iova % PAGE);
  return extents.every(({ address, sizeBytes }, i) => {
    const fits = (va - address) % pageBytes === 0 && (i === 0 || va % pageBytes === 0);
    va += sizeBytes;
    return fits;
  });
}

it.each<[string, Extent[], number, number, number[], number]>([
  ["no page size of the device", [{ address: 0x1010, sizeBytes: PAGE }], 0, PAGE, SIZES, 0],
  ["a device without small pages", [{ address: 0x1000, sizeBytes: PAGE }], 0x20_0000, PAGE, [21], 0],
  ["the smallest page that holds it all", [{ address: 0x4000_0000, sizeBytes: PAGE }], 0x8000_0000, PAGE, SIZES, PAGE],
  [
    "one page of 2 MiB for 8 KiB, where there is none of 8",
    [{ address: 0, sizeBytes: 2 * PAGE }],
    0,
    2 * PAGE,
    [12, 21],
    2 ** 21,
  ],
  [
    "the inside of the list ends in the middle of a large page",
    [
      { address: 0, sizeBytes: PAGE },
      { address: 0x20_1000, sizeBytes: 2 ** 21 },
    ],
    0,
    2 ** 21,
    SIZES,
    PAGE,
  ],
  [
    "the first may begin, and the last end, in one",
    [
      { address: 0x1f_f000, sizeBytes: PAGE },
      { address: 0x60_0000, sizeBytes: PAGE },
    ],
    0x3f_f000,
    2 * PAGE,
    SIZES,
    2 ** 21,
  ],
])("%s", (_name, extents, iova, sizeBytes, sizes, bytes) => {
  expect(bestPageSize(extents, { iova, sizeBytes }, sizes)).toBe(bytes);
});
