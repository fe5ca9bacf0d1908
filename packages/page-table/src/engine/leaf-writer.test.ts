import fc from "fast-check";
import { expect, it } from "vitest";
import { type LeafRun, LeafWriter } from "./leaf-writer.js";

/** 64 bits whose address field, from `shift` on, does not overflow bit 51 within the run. */
const run = fc
  .record({
    top: fc.integer({ min: 0, max: 0xfff }),
    flags: fc.integer({ min: 0, max: 0xfff }),
    frame: fc.oneof(fc.integer({ min: 0, max: 2 ** 40 - 2 ** 17 }), fc.constantFrom(2 ** 20 - 3, 2 ** 39)),
    strideLog2: fc.integer({ min: 10, max: 21 }),
    copiesLog2: fc.integer({ min: 0, max: 4 }),
  })
  .map(({ top, flags, frame, strideLog2, copiesLog2 }) => {
    const bits = (BigInt(top) << 52n) | (BigInt(frame) << 12n) | BigInt(flags) | 1n;
    const half = (n: bigint): number => Number(BigInt.asIntN(32, n));
    return { bits, lo: half(bits), hi: half(bits >> 32n), stride: 2 ** strideLog2, copies: 2 ** copiesLog2 };
  });

function written(first: LeafRun, pieces: readonly number[]): bigint[] {
  const entries = pieces.reduce((n, leaves) => n + leaves * first.copies, 0);
  const words = new Int32Array(2 * (entries + 2));
  const writer = new LeafWriter({ words, doubles: new Float64Array(words.buffer) });
  writer.begin(first);
  let at = 1;
  for (const leaves of pieces) {
    writer.write(at, leaves);
    at += leaves * first.copies;
  }
  return [...new BigUint64Array(words.buffer)];
}

it("writes the entries of a run, bit for bit, whatever their high bits, in whatever pieces, and nothing beside them", () => {
  fc.assert(
    fc.property(run, fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 4 }), (first, pieces) => {
      const leaves = pieces.reduce((n, piece) => n + piece, 0);
      const one = (i: number): bigint => first.bits + BigInt(Math.floor(i / first.copies)) * BigInt(first.stride);
      expect(written(first, pieces)).toEqual([
        0n,
        ...Array.from({ length: leaves * first.copies }, (_, i) => one(i)),
        0n,
      ]);
    }),
    { numRuns: 300 },
  );
});

it("an exponent of all ones, which is no number, is written too", () => {
  const first = { lo: 0x5001, hi: 0x7ff0_0000, stride: 4096, copies: 1 };
  expect(written(first, [2, 1])).toEqual([
    0n,
    0x7ff0_0000_0000_5001n,
    0x7ff0_0000_0000_6001n,
    0x7ff0_0000_0000_7001n,
    0n,
  ]);
});
