import fc from "fast-check";
import { expect, it } from "vitest";
import { ept, vtdSecondStage } from "./index.js";
import { kit, phys, RW } from "./testing.js";
import { SoftwareTlb } from "./tlb.js";

it("answers as the table does, as long as nothing is unmapped", () => {
  const page = fc.integer({ min: 0, max: 90 });
  fc.assert(
    fc.property(fc.array(fc.tuple(page, page), { maxLength: 30 }), fc.array(page, { maxLength: 60 }), (maps, asks) => {
      const { table } = kit(vtdSecondStage);
      const tlb = new SoftwareTlb(table, { entries: 8 });
      for (const [va, frame] of maps) {
        if (table.lookup(va * 4096) < 0) table.map(va * 4096, phys(frame * 4096), 4096, RW);
        for (const at of asks) expect(tlb.lookup(at * 4096 + 9)).toBe(table.lookup(at * 4096 + 9));
      }
    }),
    { numRuns: 50 },
  );
});

it("keeps the old answer until it is flushed, and never remembers that nothing is there", () => {
  const { table } = kit(ept);
  const tlb = new SoftwareTlb(table);
  expect(tlb.lookup(0x1008)).toBe(-1);
  table.map(0x1000, phys(0x8000), 4096, RW);
  expect(tlb.lookup(0x1008)).toBe(0x8008);
  table.unmap(0x1000, 4096);
  table.map(0x1000, phys(0xa000), 4096, RW);
  expect([tlb.lookup(0x1010), table.lookup(0x1010)]).toEqual([0x8010, 0xa010]);
  tlb.flush();
  expect(tlb.lookup(0x1010)).toBe(0xa010);
});

it("a number of entries that is no power of two is refused", () => {
  for (const entries of [100, 0, 0.5, NaN])
    expect(() => new SoftwareTlb(kit(ept).table, { entries })).toThrow(`entries ${entries}: give a power of two`);
});

it("what is no address is nowhere", () => {
  const tlb = new SoftwareTlb(kit(ept).table);
  expect([-1, -4096, NaN, 2 ** 60].map((va) => tlb.lookup(va))).toEqual([-1, -1, -1, -1]);
});
