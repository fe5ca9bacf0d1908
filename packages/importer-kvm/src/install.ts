/** Writing the leaf. Linux: `kvm_tdp_mmu_map()`, `make_spte()`. */
import { addr, type Op, PAGE_SIZE, type PhysAddr } from "@dma-buf/core";
import type { Leaf, MemoryType, Protection, TableGather } from "@dma-buf/page-table";
import type { Fault } from "./fault.js";
import { isCongruent } from "./level.js";
import { bytesPerLevel, type Level, lpageAllowed } from "./lpage-info.js";
import type { MemorySlot } from "./memslot.js";
import type { FoundPage } from "./source.js";
import { KVM_MEM } from "./uapi.js";
import type { Vm } from "./vm.js";

/** Where KVM's own rules are written down: they are no contract's. */
const CONGRUENT = {
  id: "kvm/congruent",
  op: "kvm_mmu_hugepage_adjust",
  stage: "map",
  source: "Linux 7.3, arch/x86/kvm/mmu/mmu.c",
} as const;

/**
 * Installs the leaf around the fault's frame, as large as may be; what was there before goes, and is flushed. `mmu_lock`
 * held for reading; sleeps only at that flush.
 * @throws DmaBufError `ENOMEM` no page table left
 */
export function* installLeaf(vm: Vm, fault: Fault, slot: MemorySlot, page: FoundPage): Op<void> {
  const { table } = vm.host;
  const gfn = Math.floor(fault.gpa / PAGE_SIZE);
  const level = levelFor(vm, fault, slot, page);
  const sizeBytes = bytesPerLevel(level);
  const gpa = gfn * PAGE_SIZE - ((gfn * PAGE_SIZE) % sizeBytes);
  const physical = (page.extent.pfn + gfn - page.extent.gfn) * PAGE_SIZE;
  const to = addr<PhysAddr>(physical - (physical % sizeBytes));
  const protection = protectionOf(vm, slot, level, page.cache ?? typeOf(vm, to));
  const before = [...table.leaves(gpa, sizeBytes)];
  if (before.some((leaf) => serves(leaf, fault, gfn, physical))) return;
  const gather: TableGather = [];
  for (const leaf of before) table.unmap(leaf.va, leaf.sizeBytes, gather);
  try {
    table.map(gpa, to, sizeBytes, protection);
  } finally {
    if (before.length > 0) yield* vm.flush();
    vm.freeTables(gather);
  }
}

/** Another vCPU was faster. */
function serves(leaf: Leaf, { access }: Fault, gfn: number, physical: number): boolean {
  return leaf.physical + gfn * PAGE_SIZE - leaf.va === physical && leaf.protection[access] === true;
}

function levelFor(vm: Vm, { gpa, access }: Fault, slot: MemorySlot, { extent }: FoundPage): Level {
  const gfn = Math.floor(gpa / PAGE_SIZE);
  const isLogged = (slot.flags & KVM_MEM.LOG_DIRTY_PAGES) !== 0;
  const isSplit = access === "execute" && vm.options.nxHugePages;
  const max = isLogged || isSplit ? 1 : vm.maxLevel;
  const allowed = (at: number, of: Level): boolean => lpageAllowed(slot, at, of, vm.attributes);
  const level = vm.options.chooseLevel(gfn, extent, max, allowed);
  if (!isCongruent(extent, level))
    vm.fw.env.bug(
      CONGRUENT,
      "importer",
      `frame ${gfn} and page frame ${extent.pfn} differ below a leaf of level ${level}`,
    );
  return level;
}

/** A direct map: what a slot allows is allowed, to execute too, unless the CPU must not find code in large pages. */
function protectionOf(vm: Vm, slot: MemorySlot, level: Level, cache: MemoryType): Protection {
  return {
    read: true,
    write: (slot.flags & KVM_MEM.READONLY) === 0,
    execute: !(vm.options.nxHugePages && level > 1),
    cache,
  };
}

/** RAM is cached, everything else is taken for MMIO. Linux: `kvm_is_mmio_pfn()`; NPT's leaves say nothing of it. */
function typeOf({ host }: Vm, physical: PhysAddr): MemoryType {
  return host.memory.isRam(physical) ? "wb" : "uc";
}
