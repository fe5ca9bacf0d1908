/** `KVM_SET_USER_MEMORY_REGION2`, from a checked request to a changed set of slots. Linux 7.3: `kvm_set_memory_region()`. */
import type { DmaBuf, Op } from "@dma-buf/core";
import { PAGE_SIZE } from "@dma-buf/core";
import type { GuestMemfd } from "./guest-memfd.js";
import type { MemorySlot, SlotBacking } from "./memslot.js";
import { refuse } from "./refuse.js";
import { checkArch, type CheckedRegion, invalid, OP_REGION, type RegionRules } from "./region.js";
import type { SlotTable } from "./slots.js";
import { KVM_MEM } from "./uapi.js";
import { changeOf, checkDmaBuf, placeOf } from "./validate.js";

/** What a fd stands for, as far as a slot asks. */
export type SlotFile =
  | { readonly kind: "guest-memfd"; readonly gmem: GuestMemfd }
  | { readonly kind: "dma-buf"; readonly buf: DmaBuf }
  | { readonly kind: "other" };

/** What a change of slots needs of its VM. Its `slots_lock` is held. */
export interface SlotWorld {
  readonly slots: SlotTable;
  readonly rules: RegionRules;
  /** The VM, by identity. */
  readonly vm: object;
  /** What the VMM has open; `null`: nothing under this fd. */
  file(fd: number): SlotFile | null;
  /** The allocation of a slot, which may fail. @throws DmaBufError `ENOMEM` */
  alloc(): void;
  /**
   * Attaches to what is behind a new slot, before the guest can use it; a guest_memfd is bound already. The slot's
   * `backing` is one object for the slot's life, through moves and changes of flags. Sleeps.
   * @throws DmaBufError; nothing is left behind
   */
  bind(slot: MemorySlot): Op<void>;
  /** Undoes {@link bind}; the guest has nothing of the slot any more. Sleeps. */
  unbind(slot: MemorySlot): Op<void>;
  /**
   * Takes all of the frames of a slot away from the guest, private and shared. `was`: the slot as faults may have found it;
   * the table has its mark or its successor already. Waits for such faults; sleeps at `mmu_lock` and in the flush.
   */
  zap(was: MemorySlot): Op<void>;
}

/**
 * Creates, deletes, moves or changes a slot, or does nothing where it is so already. Sleeps.
 * @throws DmaBufError at stage `memslot`, in Linux's order: `EINVAL`, `EEXIST`, `ENOMEM`, then of the fd `EBADF`, `EINVAL`,
 * `EEXIST`, then `EINVAL` beyond the guest's address bits; what {@link SlotWorld.bind} throws. Nothing changed.
 */
export function* setRegion(world: SlotWorld, region: CheckedRegion): Op<void> {
  const change = changeOf(region, world.slots);
  if (change.kind === "nothing") return;
  if (change.kind === "delete") return yield* removed(world, change.old);
  world.alloc();
  if (change.kind === "create") return yield* created(world, region);
  if (change.kind === "move") return yield* moved(world, region, change.old);
  // Leaves are as large and as writable as the old flags had it. Linux splits and write-protects them.
  const next = { ...change.old, flags: region.flags };
  yield* replaced(world, change.old, next, next);
}

function* created(world: SlotWorld, region: CheckedRegion): Op<void> {
  const backing = backingOf(world, region);
  using _file = yield* locked(backing);
  checkBacking(world, region, backing);
  checkArch(region, world.rules);
  const only = backing.kind === "gmem" && backing.gmem.isMappable ? KVM_MEM.GMEM_ONLY : 0;
  const { id, addressSpace, flags, hva } = region;
  const slot = { id, addressSpace, flags: flags | only, hva, ...placeOf(region), backing, invalid: false };
  if (backing.kind === "gmem") backing.gmem.bind(slot, region.offsetPages);
  let isBound = false;
  try {
    yield* world.bind(slot);
    isBound = true;
  } finally {
    if (!isBound && backing.kind === "gmem") backing.gmem.unbind(slot);
  }
  world.slots.replace(null, slot);
}

/** Only a slot over a mapping moves. Linux asks the architecture when the guest has lost its pages already; here it is asked first. */
function* moved(world: SlotWorld, region: CheckedRegion, old: MemorySlot): Op<void> {
  checkArch(region, world.rules);
  yield* replaced(world, old, { ...old, invalid: true }, { ...old, ...placeOf(region), flags: region.flags });
}

function* removed(world: SlotWorld, old: MemorySlot): Op<void> {
  using _file = yield* locked(old.backing);
  yield* replaced(world, old, { ...old, invalid: true }, null);
  if (old.backing.kind === "gmem") old.backing.gmem.unbind(old);
  yield* world.unbind(old);
}

/**
 * `during` is in the slot's place while the guest loses its pages, and `after` from then on: where the slot goes, whoever faults
 * meanwhile tries again. A call that is ended meanwhile leaves the slot as it was.
 */
function* replaced({ slots, zap }: SlotWorld, old: MemorySlot, during: MemorySlot, after: MemorySlot | null): Op<void> {
  let end: MemorySlot | null = old;
  slots.replace(old, during);
  try {
    yield* zap(old);
    end = after;
  } finally {
    if (end !== during) slots.replace(during, end);
  }
}

/** While a slot comes to a file or leaves it, nobody punches a hole into it. */
function* locked(backing: SlotBacking): Op<Disposable | null> {
  return backing.kind === "gmem" ? yield* backing.gmem.lock("a memory slot") : null;
}

function backingOf({ file }: SlotWorld, { flags, fd, offsetPages }: CheckedRegion): SlotBacking {
  const wanted = (flags & KVM_MEM.GUEST_MEMFD) !== 0 ? "guest-memfd" : "dma-buf";
  if ((flags & (KVM_MEM.GUEST_MEMFD | KVM_MEM.VFIO_DMABUF)) === 0) return { kind: "vma" };
  const found = file(fd);
  if (!found) return refuse("EBADF", OP_REGION, `fd ${fd} is not open: give the fd of a ${wanted}`, { fd });
  if (found.kind !== wanted) return invalid(`fd ${fd} is no ${wanted}: give one, or another flag`, { fd });
  // Exact: whoever asks for more than a file can have is refused before the number counts.
  const offset = offsetPages * PAGE_SIZE;
  return found.kind === "guest-memfd"
    ? { kind: "gmem", gmem: found.gmem, offset }
    : { kind: "dma-buf", buf: (found as { buf: DmaBuf }).buf, offset };
}

function checkBacking({ vm, rules }: SlotWorld, { pages, offsetPages }: CheckedRegion, backing: SlotBacking): void {
  if (backing.kind === "gmem") backing.gmem.checkBind(offsetPages, pages, vm);
  if (backing.kind === "dma-buf")
    checkDmaBuf({ offset: backing.offset, sizeBytes: pages * PAGE_SIZE }, backing.buf, vm, rules);
}
