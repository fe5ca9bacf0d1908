import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formats } from "./formats/index.js";
import { LeafSizes } from "./leaf-size.js";

const G4K = [12, 21, 30];
const AMD = formats.find((f) => f.id === "amd-v1")?.leafSizesLog2 as readonly number[];

/** The leaves of a range in order, as `log2 x count`, by the two calls that the engine makes. */
function split(sizesLog2: readonly number[], va: number, physical: number, sizeBytes: number): string {
  const sizes = new LeafSizes(sizesLog2);
  const runs: string[] = [];
  for (let done = 0; done < sizeBytes; ) {
    const log2 = sizes.best(va + done, physical + done, sizeBytes - done);
    if (log2 === 0) return "ENXIO";
    const count = sizes.count(va + done, physical + done, sizeBytes - done, log2);
    runs.push(`${log2}x${count}`);
    done += count * 2 ** log2;
  }
  return runs.join(" ");
}

/** The same, one leaf after the other, by the definition: divides both addresses, not longer than what is left. */
function greedy(sizesLog2: readonly number[], va: number, physical: number, sizeBytes: number): number[] {
  const leaves: number[] = [];
  for (let done = 0; done < sizeBytes; ) {
    const fits = (s: number): boolean =>
      (va + done) % 2 ** s === 0 && (physical + done) % 2 ** s === 0 && 2 ** s <= sizeBytes - done;
    const log2 = sizesLog2.findLast(fits) as number;
    leaves.push(log2);
    done += 2 ** log2;
  }
  return leaves;
}

describe("the worked examples", () => {
  it.each([
    [G4K, 0x1f_f000, 0x1_003f_f000, 0x40_2000, "12x1 21x2 12x1"],
    [G4K, 0x20_0000, 0x1_0020_0000, 0x4000_0000, "21x511 21x1"],
    [G4K, 0x4000_0000, 0x1_8000_0000, 0x4020_1000, "30x1 21x1 12x1"],
    [G4K, 0x1_0000, 0x3_0000, 0x3_0000, "12x48"],
    [G4K, 0x20_1000, 0x1_0000_0000, 0x40_0000, "12x1024"],
    [G4K, 0x80_0000_0000, 0x80_0000_0000, 0x80_0000_0000, "30x512"],
    [AMD, 0x20_0000, 0x1_0020_0000, 0x4000_0000, "21x1 22x1 23x1 24x1 25x1 26x1 27x1 28x1 29x1 21x1"],
    [AMD, 0x1_0000, 0x3_0000, 0x3_0000, "16x1 17x1"],
    [AMD, 0x80_0000_0000, 0x80_0000_0000, 0x80_0000_0000, "38x2"],
    [[12, 16, 21, 30, 39], 0x1_0000, 0x3_0000, 0x3_0000, "16x3"],
    [G4K, 0, 0, 0x800, "ENXIO"],
  ])("%j at %x -> %x, %x bytes: %s", (sizes, va, physical, sizeBytes, expected) => {
    expect(split(sizes, va, physical, sizeBytes)).toBe(expected);
  });
});

const page = fc.oneof(
  fc.integer({ min: 0, max: 2 ** 20 }),
  fc.tuple(fc.integer({ min: 0, max: 2 ** 15 }), fc.integer({ min: 0, max: 24 })).map(([n, log2]) => n * 2 ** log2),
);

describe.each(formats.map((f) => [f.id, f.leafSizesLog2] as const))("%s", (_id, sizes) => {
  it("splits as one leaf after the other would", () => {
    fc.assert(
      fc.property(page, page, fc.integer({ min: 1, max: 3000 }), (va, physical, pages) => {
        const runs = split(sizes, va * 4096, physical * 4096, pages * 4096).split(" ");
        const leaves = runs.flatMap((run) => {
          const [log2 = 0, count = 0] = run.split("x").map(Number);
          return Array.from({ length: count }, () => log2);
        });
        expect(leaves).toEqual(greedy(sizes, va * 4096, physical * 4096, pages * 4096));
      }),
    );
  });
});
