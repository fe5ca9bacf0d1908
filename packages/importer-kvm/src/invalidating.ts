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

/**
 * All of a slot, in both views, under one hold of `mmu_lock`: begin, zap, flush, end; under two where a device must stop in
 * between. A reservation may be held.
 */
export function* invalidateSlot(vm: Invalidating, slot: MemorySlotInit): Op<void> {
  const range = { start: baseGfn(slot), end: baseGfn(slot) + pagesOf(slot) };
  using _lock = yield* beginAndZap(vm, range, [range], "both", true);
  vm.mmu.end();
}

/**
 * The first half of an invalidate whose cause takes place before the second: between the two, faults in `ranges` try again.
 * Run what it gives once, when it has. `level`: faults on frames that a leaf of it would share with `ranges` try again too.
 */
function* beginInvalidate(
  vm: Invalidating,
  ranges: readonly GfnRange[],
  view: View,
  { level = 1, stops = false }: { readonly level?: Level; readonly stops?: boolean },
): Op<() => Op<void>> {
  if (ranges.length === 0) return function* (): Op<void> {};
  const start = roundDown(Math.min(...ranges.map((r) => r.start)), level);
  const end = roundDown(Math.max(...ranges.map((r) => r.end)) - 1, level) + pagesPerLevel(level);
  using _lock = yield* beginAndZap(vm, { start, end }, ranges, view, stops);
  return () => endInvalidate(vm);
}

/** What the process loses, the guest loses: private frames too, if its mapping may have some. */
export function beginTaking(vm: Invalidating & Pick<Vm, "host">, ranges: readonly GfnRange[]): Op<() => Op<void>> {
  return beginInvalidate(vm, ranges, vm.host.trustedIo ? "both" : "shared", { stops: true });
}

/**
 * Begins an invalidate of `around`, zaps and flushes, and gives `mmu_lock`, held for writing. `stops`: it is the host that
 * takes frames away, and a device that the guest has there as its own must stop before. That sleeps, so `mmu_lock` is given
 * back for it; what has begun keeps a vCPU from installing another such frame meanwhile.
 */
function* beginAndZap(
  vm: Invalidating,
  around: GfnRange,
  ranges: readonly GfnRange[],
  view: View,
  stops: boolean,
): Op<Disposable> {
  const take = (): Op<Disposable> => vm.mmu.lock.write(`an invalidate of ${vm.name}`);
  let lock = yield* take();
  vm.mmu.begin(around);
  let isZapped = false;
  try {
    if (stops && vm.stopTrusted && ranges.some((range) => hasPrivate(vm, range))) {
      lock[Symbol.dispose]();
      yield* vm.stopTrusted();
      lock = yield* take();
    }
    yield* zapAndFlush(vm, ranges, view);
    isZapped = true;
    return lock;
  } finally {
    // Whoever is ended meanwhile gets no second half.
    if (!isZapped) {
      vm.mmu.end();
      lock[Symbol.dispose]();
    }
  }
}

function hasPrivate({ table, isPrivate }: Invalidating, { start, end }: GfnRange): boolean {
  for (const leaf of table.leaves(start * PAGE_SIZE, (end - start) * PAGE_SIZE))
    if (isPrivate(leaf.va / PAGE_SIZE)) return true;
  return false;
}

/** The second half. It comes also where its task is ended while it waits for the lock: else faults would wait for ever. */
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
    const end = yield* beginInvalidate(vm, ranges, view, { level: vm.maxLevel });
    try {
      yield* point("kvm.invalidated");
      change();
    } finally {
      yield* end();
    }
  };
}
