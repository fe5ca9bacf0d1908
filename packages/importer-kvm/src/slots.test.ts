/** The set of slots against a map of every page, and random requests: a refusal changes nothing. */
import { errnoOf } from "@dma-buf/config/refusal";
import fc from "fast-check";
import { expect, it } from "vitest";
import { baseGfn, type MemorySlot, pagesOf } from "./memslot.js";
import { dmaBufRegion, gmemRegion, regionOf } from "./testing/arguments.js";
import { TestVm } from "./testing/slot-world.js";
import type { UserMemoryRegion } from "./uapi.js";

const PAGES = 24;

/** Small numbers, so that they meet. */
const REGION = fc
  .record({
    make: fc.constantFrom(regionOf, regionOf, gmemRegion, dmaBufRegion),
    slot: fc.constantFrom(0, 1, 2, 0x1_0000),
    page: fc.nat({ max: PAGES - 1 }),
    pages: fc.constantFrom(0, 1, 2, 5, 8),
    flags: fc.constantFrom(0, 0, 1, 2),
    offset: fc.nat({ max: 16 }),
    hva: fc.nat({ max: 1 }),
  })
  .map(({ make, slot, page, pages, flags, offset, hva }) =>
    make({
      slot,
      flags: make({}).flags | flags,
      guestPhysAddr: BigInt(page * 4096),
      memorySize: BigInt(pages * 4096),
      userspaceAddr: BigInt(0x10_0000 + hva * 4096),
      guestMemfdOffset: BigInt(offset * 4096),
    }),
  );

/** Of every page of an address space, the slot's id: kept by hand. */
type Oracle = Map<number, number>[];

/** Puts an accepted request into the oracle. */
function apply(oracle: Oracle, { slot, guestPhysAddr, memorySize }: UserMemoryRegion): void {
  const space = oracle[Math.floor(slot / 0x1_0000)] as Map<number, number>;
  const id = slot % 0x1_0000;
  for (const [page, of] of space) if (of === id) space.delete(page);
  const first = Number(guestPhysAddr) / 4096;
  for (let page = first; page < first + Number(memorySize) / 4096; page++) space.set(page, id);
}

function overlaps(oracle: Oracle, { slot, guestPhysAddr, memorySize }: UserMemoryRegion): boolean {
  const space = oracle[Math.floor(slot / 0x1_0000)] as Map<number, number>;
  const first = Number(guestPhysAddr) / 4096;
  const pages = Array.from({ length: Number(memorySize) / 4096 }, (_, i) => space.get(first + i));
  return pages.some((id) => id !== undefined && id !== slot % 0x1_0000);
}

it("every page is of the slot that a map of pages says, after every request", () => {
  let accepted = 0;
  let refused = 0;
  fc.assert(
    fc.property(fc.array(REGION, { maxLength: 30 }), (regions) => {
      const vm = new TestVm();
      const oracle: Oracle = [new Map(), new Map()];
      for (const region of regions) {
        const before = vm.state;
        const said = errnoOf(() => vm.set(region));
        if (said === "ok") apply(oracle, region);
        else expect(vm.state).toEqual(before);
        if (said === "ok") accepted++;
        else refused++;
        if (said === "EEXIST" && region.flags !== 4) expect(overlaps(oracle, region)).toBe(true);
        for (const space of [0, 1])
          for (let page = 0; page < PAGES + 8; page++)
            expect(vm.slots.byGfn(space, page)?.id).toBe(oracle[space]?.get(page));
      }
    }),
    // One seed: what was drawn is counted below.
    { numRuns: 150, seed: 1 },
  );
  expect(Math.min(accepted, refused)).toBeGreaterThan(100);
});

it("lookups agree: by id, by frame, by range, by userspace address", () => {
  fc.assert(
    fc.property(
      fc.array(REGION, { maxLength: 30 }),
      fc.nat({ max: 30 }),
      fc.integer({ min: 1, max: 8 }),
      (regions, first, pages) => {
        const vm = new TestVm();
        for (const region of regions) errnoOf(() => vm.set(region));
        const { slots } = vm;
        const brute = (keep: (slot: MemorySlot) => boolean): readonly MemorySlot[] => slots.all.filter(keep);
        const inRange = (s: MemorySlot): boolean =>
          Array.from({ length: pages }, (_, i) => first + i).some((g) => slots.byGfn(s.addressSpace, g) === s);
        for (const space of [0, 1])
          expect(slots.overlapping(space, first, first + pages)).toEqual(
            brute((s) => s.addressSpace === space && inRange(s)),
          );
        const hva = 0x10_0000 + first * 4096;
        expect(slots.overHva(hva, 4096)).toEqual(brute((s) => s.hva <= hva && hva < s.hva + s.sizeBytes));
        for (const slot of slots.all) {
          expect(slots.byId(slot.addressSpace, slot.id)).toBe(slot);
          expect(slots.byGfn(slot.addressSpace, baseGfn(slot) + pagesOf(slot) - 1)).toBe(slot);
        }
      },
    ),
    { numRuns: 100 },
  );
});

it("whoever cached something can tell that a slot was replaced", () => {
  const vm = new TestVm();
  vm.set(regionOf());
  const slot = vm.slots.byId(0, 0) as MemorySlot;
  const { generation } = vm.slots;
  const marked = { ...slot, invalid: true };
  vm.slots.replace(slot, marked);
  expect(vm.slots.byGfn(0, 0x100)).toBe(marked);
  vm.slots.replace(marked, null);
  expect(vm.slots.byGfn(0, 0x100)).toBeNull();
  expect(vm.slots.generation).toBe(generation + 2);
});

it("an address space that is none has no slots", () => {
  expect([new TestVm().slots.byGfn(7, 0), new TestVm().slots.byId(7, 0)]).toEqual([null, null]);
});
