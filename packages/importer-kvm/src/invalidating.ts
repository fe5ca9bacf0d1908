/** Taking frames away from the guest. Linux: `kvm_handle_hva_range()`, `kvm_mmu_invalidate_start()` and `_end()`. */
import { type Op, PAGE_SIZE, point } from "@dma-buf/core";
import { type Level, pagesPerLevel, roundDown } from "./lpage-info.js";
import { baseGfn, type MemorySlotInit, pagesOf } from "./memslot.js";
import type { GfnRange } from "./mmu.js";
import type { SlotTable } from "./slots.js";
import type { Vm } from "./vm.js";
import { type InvalidateGfns, type View, zapAndFlush } from "./zap.js";

type Invalidating = Pick<
  Vm,
  "name" | "mmu" | "maxLevel" | "table" | "isPrivate" | "freeTables" | "flush" | "stopTrusted"
>;

/** All of a slot, in both views, under one hold of `mmu_lock`: begin, zap, flush, end. A reservation may be held. */
export function* invalidateSlot(vm: Invalidating, slot: MemorySlotInit): Op<void> {
  const range = { start: baseGfn(slot), end: baseGfn(slot) + pagesOf(slot) };
  yield* stopTrusted(vm, [range]);
  using _lock = yield* vm.mmu.lock.write(`an invalidate of ${vm.name}`);
  vm.mmu.begin(range);
  try {
    yield* zapAndFlush(vm, [range], "both");
  } finally {
    vm.mmu.end();
  }
}

/**
 * The first half of an invalidate whose cause takes place before the second: between the two, faults in `ranges` try again.
 * Run what it gives once, when it has. `level`: faults on frames that a leaf of it would share with `ranges` try again too.
 */
export function* beginInvalidate(
  vm: Invalidating,
  ranges: readonly GfnRange[],
  view: View,
  level: Level = 1,
): Op<() => Op<void>> {
  if (ranges.length === 0) return function* (): Op<void> {};
  using _lock = yield* vm.mmu.lock.write(`an invalidate of ${vm.name}`);
  vm.mmu.begin({
    start: roundDown(Math.min(...ranges.map((r) => r.start)), level),
    end: roundDown(Math.max(...ranges.map((r) => r.end)) - 1, level) + pagesPerLevel(level),
  });
  let isBegun = false;
  try {
    yield* zapAndFlush(vm, ranges, view);
    isBegun = true;
  } finally {
    // Whoever is ended meanwhile gets no second half.
    if (!isBegun) vm.mmu.end();
  }
  return () => endInvalidate(vm);
}

/** What the process loses, the guest loses: private frames too, if its mapping may have some. */
export function* beginTaking(vm: Invalidating & Pick<Vm, "host">, ranges: readonly GfnRange[]): Op<() => Op<void>> {
  yield* stopTrusted(vm, ranges);
  return yield* beginInvalidate(vm, ranges, vm.host.trustedIo ? "both" : "shared");
}

/** It is the host that takes frames away: a device that the guest has there as its own must stop before. */
function* stopTrusted(vm: Invalidating, ranges: readonly GfnRange[]): Op<void> {
  if (ranges.some((range) => hasPrivate(vm, range))) yield* vm.stopTrusted();
}

function hasPrivate({ table, isPrivate }: Invalidating, { start, end }: GfnRange): boolean {
  for (const leaf of table.leaves(start * PAGE_SIZE, (end - start) * PAGE_SIZE))
    if (isPrivate(leaf.va / PAGE_SIZE)) return true;
  return false;
}

/** The second half. A task that is ended waits for no lock; faults must not wait for it. */
function* endInvalidate({ name, mmu }: Invalidating): Op<void> {
  try {
    using _lock = yield* mmu.lock.write(`the end of an invalidate of ${name}`);
  } finally {
    mmu.end();
  }
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
    // A neighbour's fault must not install a large leaf over them: whether it may is only known after the change.
    const end = yield* beginInvalidate(vm, ranges, view, vm.maxLevel);
    try {
      yield* point("kvm.invalidated");
      change();
    } finally {
      yield* end();
    }
  };
}
