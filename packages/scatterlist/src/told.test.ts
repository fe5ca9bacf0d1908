/** What was told against a map from each page to what was said of it. */
import { addr, type PhysAddr, type Run } from "@dma-buf/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Told } from "./told.js";

const PAGE = 4096;
const BRIDGES = [{}, {}] as const;
const ATTRIBUTES = [null, { cache: "uc", snoop: false }, { cache: "wb", snoop: true }] as const;

/** Few places and few shapes: then they meet. */
const shape = fc.record({
  page: fc.nat(11),
  pages: fc.integer({ min: 1, max: 5 }),
  delta: fc.nat(1),
  kind: fc.constantFrom("dma", "cpu-physical", "pci-bus"),
  bridge: fc.nat(1),
  attributes: fc.nat(2),
});
type Shape = typeof shape extends fc.Arbitrary<infer T> ? T : never;

function runOf({ page, pages, delta, kind, bridge, attributes }: Shape): Run {
  const extent = { offset: page * PAGE, sizeBytes: pages * PAGE, address: addr<PhysAddr>((page + 100 * delta) * PAGE) };
  if (kind === "dma") return { ...extent, kind } as never;
  // A copy: they are told apart by value.
  const said = ATTRIBUTES[attributes] && { ...ATTRIBUTES[attributes] };
  return { ...extent, kind, attributes: said, ...(kind === "pci-bus" ? { bridge: BRIDGES[bridge] } : {}) } as never;
}

/** What is said of one page, as text. */
function meaning(run: Run): Map<number, string> {
  const said = new Map<number, string>();
  for (let at = 0; at < run.sizeBytes; at += PAGE) {
    const space = run.kind === "pci-bus" ? BRIDGES.indexOf(run.bridge) : "";
    const how = run.kind === "dma" ? "" : JSON.stringify(run.attributes);
    said.set(run.offset + at, `${run.address + at} ${run.kind} ${space} ${how}`);
  }
  return said;
}

describe("what was told", () => {
  it("is contradicted by what says otherwise of a page, in any order, and by nothing else", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(shape, fc.constant("forget" as const)), { maxLength: 40 }), (acts) => {
        const told = new Told();
        const brute = new Map<number, string>();
        for (const act of acts) {
          if (act === "forget") {
            told.forget();
            brute.clear();
          } else {
            const run = runOf(act);
            const said = [...meaning(run)];
            const wrong = said.some(([at, what]) => brute.has(at) && brute.get(at) !== what);
            expect(told.contradiction(run) !== null).toBe(wrong);
            if (!wrong) {
              told.add(run);
              for (const [at, what] of said) brute.set(at, what);
            }
          }
          expect(told.isEmpty).toBe(brute.size === 0);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("is asked in little time: 100,000 pages told in a row are one run", () => {
    const told = new Told();
    for (let page = 0; page < 100_000; page++)
      told.add(runOf({ page, pages: 1, delta: 0, kind: "dma", bridge: 0, attributes: 0 }));
    expect(told.contradiction(runOf({ page: 99_999, pages: 1, delta: 1, kind: "dma", bridge: 0, attributes: 0 }))).toBe(
      "offset 0x1869f000 was at 0x1869f000 (dma), and is said to be at 0x18703000 (dma), though nobody was told to stop",
    );
  });

  it("says how it was to be reached, where that is what changed", () => {
    const told = new Told();
    const [, uc, wb] = [0, 1, 2].map((attributes) =>
      runOf({ page: 0, pages: 1, delta: 0, kind: "cpu-physical", bridge: 0, attributes }),
    );
    told.add(uc as Run);
    expect(told.contradiction(wb as Run)).toContain("0x0 (cpu-physical, uc, not snooped)");
  });
});
