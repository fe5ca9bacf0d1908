/** Where a slot may have large pages, against counters for each large frame as Linux fills them. */
import { addr, type Gpa } from "@dma-buf/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MemoryAttributes } from "./attributes.js";
import { type Level, lpageAllowed, pagesPerLevel } from "./lpage-info.js";

const M2 = 2 ** 21;
const G1 = 2 ** 30;
const none = new MemoryAttributes();
const slotOf = (gpa: number, sizeBytes: number, hva: number) => ({ gpa: addr<Gpa>(gpa), sizeBytes, hva });
type Shape = ReturnType<typeof slotOf>;

/** The counters of one level, filled as Linux does when the slot is made: one for each large frame that the slot touches. */
function counters({ gpa, sizeBytes, hva }: Shape, level: 2 | 3): { readonly first: number; readonly counts: number[] } {
  const pages = pagesPerLevel(level);
  const [base, end, user] = [gpa / 4096, (gpa + sizeBytes) / 4096, hva / 4096];
  const first = Math.floor(base / pages);
  const counts = Array.from({ length: Math.floor((end - 1) / pages) - first + 1 }, () => 0);
  if (base % pages !== 0) counts[0] = 1;
  if (end % pages !== 0) counts[counts.length - 1] = 1;
  if (base % pages !== user % pages) counts.fill(1);
  return { first, counts };
}

/** Which of the frames of a level have private and shared pages, page by page. */
function mixed(attributes: MemoryAttributes, frame: number, level: 2 | 3): boolean {
  const pages = pagesPerLevel(level);
  const values = new Set(Array.from({ length: pages }, (_, i) => attributes.isPrivate(frame * pages + i)));
  return values.size > 1;
}

const page = fc.oneof(
  fc.nat({ max: 2048 }),
  fc.nat({ max: 4 }).map((n) => n * 512),
);
// Large pages need two addresses that agree in their low bits, which two drawn apart seldom do: half agree by construction.
const SLOT = fc
  .tuple(page, fc.integer({ min: 1, max: 3000 }), page, fc.boolean())
  .map(([gfn, pages, user, alike]) =>
    slotOf(gfn * 4096, pages * 4096, (alike ? gfn + Math.floor(user / 512) * 512 : user) * 4096),
  );
const PRIVATE = fc.array(fc.record({ start: page, n: fc.integer({ min: 1, max: 700 }) }), { maxLength: 4 });

it("2 MiB: every frame of the slot, with its counter and its mixed flag", () => {
  let allowed = 0;
  fc.assert(
    fc.property(SLOT, PRIVATE, (slot, ranges) => {
      const attributes = new MemoryAttributes();
      for (const { start, n } of ranges) attributes.store({ start, end: start + n, isPrivate: true });
      const { first, counts } = counters(slot, 2);
      for (const [i, count] of counts.entries()) {
        const gfn = Math.max((first + i) * 512, slot.gpa / 4096);
        const expected = count === 0 && !mixed(attributes, first + i, 2);
        expect(lpageAllowed(slot, gfn, 2, attributes)).toBe(expected);
        if (expected) allowed++;
      }
    }),
    // One seed: what was drawn is counted below.
    { numRuns: 300, seed: 1 },
  );
  expect(allowed).toBeGreaterThan(100);
});

it("1 GiB: every frame of the slot, with its counter", () => {
  const gib = fc.tuple(fc.nat({ max: 3 }), fc.constantFrom(0, 0, 0, 1, 512));
  fc.assert(
    fc.property(gib, fc.tuple(fc.integer({ min: 1, max: 3 }), fc.constantFrom(0, 0, 1, 512)), gib, (at, size, user) => {
      const bytes = ([n, pages]: readonly [number, number]): number => n * G1 + pages * 4096;
      const slot = slotOf(bytes(at), bytes(size), bytes(user));
      const { first, counts } = counters(slot, 3);
      for (const [i, count] of counts.entries()) {
        const gfn = Math.max((first + i) * 2 ** 18, slot.gpa / 4096);
        expect(lpageAllowed(slot, gfn, 3, none)).toBe(count === 0);
      }
    }),
  );
});

describe("named cases", () => {
  it.each<[string, Shape, number, Level, boolean]>([
    ["4 KiB always", slotOf(0x1000, 0x1000, 0), 0x1000, 1, true],
    ["2 MiB in an aligned slot", slotOf(0, 2 * M2, 4 * M2), M2, 2, true],
    ["not before an unaligned beginning", slotOf(0x1000, 2 * M2, 0x1000), 0x1000, 2, false],
    ["but behind it, as the process has it alike", slotOf(0x1000, 2 * M2, 0x1000), M2, 2, true],
    ["not at an unaligned end", slotOf(0, M2 + 0x1000, 0), M2, 2, false],
    ["nowhere, as the process has it otherwise", slotOf(0, 4 * M2, 0x1000), M2, 2, false],
    ["userspace_addr 0 and an aligned slot", slotOf(3 * M2, M2, 0), 3 * M2, 2, true],
    ["userspace_addr 0 and an unaligned slot", slotOf(0x1000, 4 * M2, 0), 2 * M2, 2, false],
    ["1 GiB", slotOf(G1, G1, 0), G1, 3, true],
    ["1 GiB, alike modulo 2 MiB only: not", slotOf(G1, G1, M2), G1, 3, false],
    ["and 2 MiB then", slotOf(G1, G1, M2), G1, 2, true],
  ])("%s", (_name, slot, gpa, level, expected) => {
    expect(lpageAllowed(slot, gpa / 4096, level, none)).toBe(expected);
  });

  it("one private page: its 2 MiB and its 1 GiB are mixed, the 2 MiB beside it are not", () => {
    const attributes = new MemoryAttributes();
    attributes.store({ start: 700, end: 701, isPrivate: true });
    const ask = (gfn: number, level: Level): boolean => lpageAllowed(slotOf(0, G1, 0), gfn, level, attributes);
    expect([ask(0, 2), ask(512, 2), ask(1023, 2), ask(1024, 2), ask(5000, 3)]).toEqual([
      true,
      false,
      false,
      true,
      false,
    ]);
    attributes.store({ start: 700, end: 701, isPrivate: false });
    expect([ask(512, 2), ask(0, 3)]).toEqual([true, true]);
  });
});
