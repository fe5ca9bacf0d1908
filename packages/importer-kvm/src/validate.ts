/** What a request does to the slots that are there, and whether what is to back it can. Linux 7.3: `kvm_main.c`; RFC patches 06, 10. */
import { addr, type DmaBuf, type Gpa, hex, PAGE_SIZE } from "@dma-buf/core";
import { baseGfn, type MemorySlot, pagesOf } from "./memslot.js";
import { refuse } from "./refuse.js";
import { type CheckedRegion, FD_BACKED, invalid, OP_REGION, type RegionRules } from "./region.js";
import type { SlotTable } from "./slots.js";
import { KVM_MEM } from "./uapi.js";

/** Linux: `enum kvm_mr_change`; `nothing`: the slot is what is asked for. */
export type Change =
  | { readonly kind: "create" }
  | { readonly kind: "delete" | "move" | "flags-only" | "nothing"; readonly old: MemorySlot };

/** Flags that a slot keeps for its life. */
const FIXED = KVM_MEM.READONLY | FD_BACKED;

/**
 * Rows 10 to 14: which change is it?
 * @throws DmaBufError at stage `memslot`: `EINVAL` no such slot to delete, or it cannot change like that · `EEXIST` it would
 * overlap another slot of its address space
 */
export function changeOf(region: CheckedRegion, slots: SlotTable): Change {
  const old = slots.byId(region.addressSpace, region.id);
  if (region.pages === 0) {
    if (!old) invalid(`there is no slot ${region.id} to delete: memory_size 0 deletes`, { slot: region.id });
    return { kind: "delete", old };
  }
  const change: Change = old ? changed(region, old) : { kind: "create" };
  if (change.kind === "create" || change.kind === "move") checkOverlap(region, slots);
  return change;
}

/** Rows 11 to 13. */
function changed(region: CheckedRegion, old: MemorySlot): Change {
  const { id, flags, gfn, pages, hva } = region;
  if ((flags & FD_BACKED) !== 0)
    invalid(`slot ${id} exists, and one over a fd never changes: delete it first`, { slot: id });
  if (hva !== old.hva || pages !== pagesOf(old))
    invalid(`slot ${id} has ${pagesOf(old)} pages at ${hex(old.hva)}: delete it to resize or remap it`, { pages, hva });
  if (((flags ^ old.flags) & FIXED) !== 0)
    invalid(`flags ${hex(flags)} for ${hex(old.flags)}: delete slot ${id} to change what backs it or READONLY`, {
      flags,
    });
  if (gfn !== baseGfn(old)) return { kind: "move", old };
  return { kind: flags === old.flags ? "nothing" : "flags-only", old };
}

/** Row 14. A slot that moves may overlap where it was. */
function checkOverlap({ addressSpace, id, gfn, pages }: CheckedRegion, slots: SlotTable): void {
  const other = slots.overlapping(addressSpace, gfn, gfn + pages).find((slot) => slot.id !== id);
  if (other)
    refuse(
      "EEXIST",
      OP_REGION,
      `${hex(gfn * PAGE_SIZE)} overlaps slot ${other.id} at ${hex(other.gpa)}: choose another guest address`,
      { gfn, pages, other: other.id },
    );
}

/** The key under which a buffer says whose it is, in `ops.interfaces`. RFC, patch 09: `vfio_dma_buf_get_data()`. */
const PRIVATE_KVM: symbol = Symbol.for("vfio_dma_buf_private_kvm");

/**
 * May this buffer be the slot's? Before anybody is attached. `vm`: the identity of the VM, as its device was bound to it.
 *
 * A reading: a buffer that is nobody's goes into any VM. Patch 10 refuses it in a VM with private memory.
 * @throws DmaBufError `EINVAL` at stage `memslot`: beyond the buffer; private to another VM; as posted, not the whole buffer
 */
export function checkDmaBuf(
  { offset, sizeBytes }: { readonly offset: number; readonly sizeBytes: number },
  buf: Pick<DmaBuf, "sizeBytes" | "ops">,
  vm: object,
  { asPosted = false }: Pick<RegionRules, "asPosted">,
): void {
  if (asPosted && (offset !== 0 || sizeBytes !== buf.sizeBytes))
    invalid(
      `offset ${hex(offset)} and size ${hex(sizeBytes)}: the posted slot is the whole buffer of ${hex(buf.sizeBytes)} bytes`,
      { offset, sizeBytes, bufferBytes: buf.sizeBytes },
    );
  if (offset + sizeBytes > buf.sizeBytes)
    invalid(`offset ${hex(offset)} + size ${hex(sizeBytes)} is beyond the buffer of ${hex(buf.sizeBytes)} bytes`, {
      offset,
      sizeBytes,
      bufferBytes: buf.sizeBytes,
    });
  const ask = buf.ops.interfaces?.get(PRIVATE_KVM) as (() => { isPrivate: boolean; kvm: object | null }) | undefined;
  const owner = ask?.();
  if (owner?.isPrivate && owner.kvm !== vm)
    invalid("the buffer's device is private to another VM: unbind it there first", { offset, sizeBytes });
}

/** Where a request places its slot, bytes. Call it after `checkArch`: only then the address is an exact Number. */
export function placeOf({ gfn, pages }: CheckedRegion): { readonly gpa: Gpa; readonly sizeBytes: number } {
  return { gpa: addr<Gpa>(gfn * PAGE_SIZE), sizeBytes: pages * PAGE_SIZE };
}
