import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Block } from "./host.js";
import { coalesce, VramManager } from "./vram.js";

const P = 4096;
const block = (start: number, pages: number): Block => ({ start: start * P, sizeBytes: pages * P });

describe("VRAM", () => {
  it("is handed out from the bottom up, or from the top down", () => {
    const vram = new VramManager(8 * P);
    expect(vram.alloc(2 * P)).toEqual([block(0, 2)]);
    expect(vram.alloc(2 * P, { topDown: true })).toEqual([block(6, 2)]);
    expect(vram.usedBytes).toBe(4 * P);
  });

  it("a hole that is large enough goes before an earlier one that is not; else several blocks", () => {
    const vram = new VramManager(8 * P);
    const [a, , c] = [1, 1, 1].map((n) => vram.alloc(n * P) as Block[]);
    vram.free(a as Block[]);
    expect(vram.alloc(2 * P)).toEqual([block(3, 2)]);
    vram.free(c as Block[]);
    expect(vram.alloc(5 * P)).toEqual([block(0, 1), block(2, 1), block(5, 3)]);
  });

  it("of holes that are not needed nothing is taken", () => {
    const vram = new VramManager(5 * P);
    const pages = [0, 1, 2, 3, 4].map(() => vram.alloc(P) ?? []);
    for (const i of [0, 2, 4]) vram.free(pages[i] ?? []);
    expect(vram.alloc(2 * P)).toEqual([block(0, 1), block(2, 1)]);
  });

  it("from the top down takes the ends of holes", () => {
    const vram = new VramManager(6 * P);
    const [, b] = [2, 2, 2].map((n) => vram.alloc(n * P) as Block[]);
    vram.free(b as Block[]);
    expect(vram.alloc(P, { topDown: true })).toEqual([block(3, 1)]);
  });

  it("below a limit there is only what is below it", () => {
    const vram = new VramManager(8 * P);
    expect(vram.alloc(4 * P, { end: 3 * P })).toBeNull();
    expect(vram.usedBytes).toBe(0);
    expect(vram.alloc(P, { end: 3 * P, topDown: true })).toEqual([block(2, 1)]);
    expect(vram.alloc(2 * P, { end: 3 * P })).toEqual([block(0, 2)]);
    expect(vram.alloc(P, { end: 3 * P })).toBeNull();
    expect(vram.alloc(P, { end: 0 })).toBeNull();
  });

  it("that was not there cannot be had", () => {
    const vram = new VramManager(0);
    expect([vram.alloc(P), vram.usedBytes]).toEqual([null, 0]);
  });

  it("no two live blocks overlap, what is used is what is out, and all of it comes back whole", () => {
    const step = fc.record({ pages: fc.integer({ min: 1, max: 6 }), free: fc.boolean(), topDown: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const vram = new VramManager(16 * P);
        const live: (readonly Block[])[] = [];
        for (const { pages, free, topDown } of steps) {
          const got = free ? null : vram.alloc(pages * P, { topDown });
          if (got) live.push(got);
          else vram.free(live.shift() ?? []);
          const all = live.flat().toSorted((x, y) => x.start - y.start);
          expect(vram.usedBytes).toBe(all.reduce((n, b) => n + b.sizeBytes, 0));
          for (const [i, b] of all.entries())
            expect(b.start + b.sizeBytes).toBeLessThanOrEqual(all[i + 1]?.start ?? 16 * P);
        }
        for (const blocks of live) vram.free(blocks);
        expect(vram.alloc(16 * P)).toEqual([block(0, 16)]);
      }),
    );
  });
});

it("blocks that follow each other are one", () => {
  expect(coalesce([block(0, 1), block(1, 2), block(4, 1)])).toEqual([block(0, 3), block(4, 1)]);
});
