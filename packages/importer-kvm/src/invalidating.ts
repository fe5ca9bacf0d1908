/** Taking frames away from the guest. Linux: `kvm_handle_hva_range()`, `kvm_mmu_invalidate_start()` and `_end()`. */
import { type Op, PAGE_SIZE, point } from "@dma-buf/core";
import type { InvalidateGfns } from "./invalidate.js";
import { baseGfn, type MemorySlotInit, pagesOf } from "./memslot.js";
import type { GfnRange } from "./mmu.js";
import type { SlotTable } from "./slots.js";
import type { Vm } from "./vm.js";
import { type View, zapAndFlush } from "./zap.js";

type Invalidating = Pick<Vm, "name" | "mmu" | "table" | "isPrivate" | "freeTables" | "flush">;

/** All of a slot, in both views, under one hold of `mmu_lock`: begin, zap, flush, end. A reservation may be held. */
export function* invalidateSlot(vm: Invalidating, slot: MemorySlotInit): Op<void> {
  using _lock = yield* vm.mmu.lock.write(`an invalidate of ${vm.name}`);
  const range = { start: baseGfn(slot), end: baseGfn(slot) + pagesOf(slot) };
  vm.mmu.begin(range);
  try {
    yield* zapAndFlush(vm, [range], "both");
  } finally {
    vm.mmu.end();
  }
}

/**
 * The first half of an invalidate whose cause takes place before the second: between the two, faults in `ranges` try again.
 * Run what it gives once, when it has.
 */
export function* beginInvalidate(vm: Invalidating, ranges: readonly GfnRange[], view: View): Op<() => Op<void>> {
  if (ranges.length === 0) return function* (): Op<void> {};
  {
    using _lock = yield* vm.mmu.lock.write(`an invalidate of ${vm.name}`);
    vm.mmu.begin({
      start: Math.min(...ranges.map((r) => r.start)),
      end: Math.max(...ranges.map((r) => r.end)),
    });
    yield* zapAndFlush(vm, ranges, view);
  }
  return function* (): Op<void> {
    using _lock = yield* vm.mmu.lock.write(`the end of an invalidate of ${vm.name}`);
    vm.mmu.end();
  };
}

/** Frames of slots over the process's addresses `[hva, hva + sizeBytes)`. */
export function gfnsOver(slots: SlotTable, hva: number, sizeBytes: number): GfnRange[] {
  return slots.overHva(hva, sizeBytes).map((slot) => {
    const from = Math.max(hva, slot.hva);
    const to = Math.min(hva + sizeBytes, slot.hva + slot.sizeBytes);
    const first = baseGfn(slot) - slot.hva / PAGE_SIZE;
    return { start: first + from / PAGE_SIZE, end: first + to / PAGE_SIZE };
  });
}

/** Both halves, with a change between them that others can come before and after. */
export function invalidateGfns(vm: Invalidating): InvalidateGfns {
  return function* (ranges, view, change) {
    const end = yield* beginInvalidate(vm, ranges, view);
    yield* point("kvm.invalidated");
    change();
    yield* end();
  };
}
