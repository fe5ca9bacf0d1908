/** What the parts of KVM's MMU share: one VM with its second stage, its slots, and its guards. */
import { type Framework, type Op, until } from "@dma-buf/core";
import type { MemoryAttributes } from "./attributes.js";
import type { KvmHost } from "./host.js";
import type { ChooseLevel } from "./level.js";
import type { Level } from "./lpage-info.js";
import type { MemorySlot, SlotBacking } from "./memslot.js";
import type { MmuInvalidate } from "./mmu.js";
import type { SlotTable } from "./slots.js";
import type { PageSource } from "./source.js";
import type { Zapper } from "./zap.js";

/** How the MMU behaves. */
export interface MmuOptions {
  readonly chooseLevel: ChooseLevel;
  /** Is the sequence looked at once more with `mmu_lock` held? */
  readonly checksUnderLock: boolean;
  /** The CPU must not execute out of large pages: they are split when code is fetched. Linux: `nx_huge_pages`. */
  readonly nxHugePages: boolean;
}

export interface Vm extends Zapper {
  readonly name: string;
  readonly fw: Framework;
  readonly host: KvmHost;
  readonly mmu: MmuInvalidate;
  readonly slots: SlotTable;
  readonly attributes: MemoryAttributes;
  readonly faulting: SlotReaders;
  readonly options: MmuOptions;
  /** The largest leaf of the second stage. */
  readonly maxLevel: Level;
  /** Stops devices that the VM trusts, before a private frame of theirs may go; `null`: there are none, or nobody does. */
  readonly stopTrusted: (() => Op<void>) | null;
  /** Where pages of a slot come from in one view; `null`: nowhere. */
  readonly sourceOf: (slot: MemorySlot, isPrivate: boolean) => PageSource | null;
}

/** Faults that have looked a slot up and are not through: what the slot stands for must stay. Linux: `kvm->srcu`. */
export class SlotReaders {
  readonly #faults = new Map<SlotBacking, number>();

  *read<T>({ backing }: MemorySlot, op: Op<T>): Op<T> {
    this.#add(backing, 1);
    try {
      return yield* op;
    } finally {
      this.#add(backing, -1);
    }
  }

  /** Sleeps until nobody is at it, or at what it was before it was changed. Linux: `synchronize_srcu()`. */
  *synchronize({ id, backing }: MemorySlot): Op<void> {
    yield* until(
      "kvm.srcu",
      () => !this.#faults.has(backing),
      () => `faults on slot ${id}`,
    );
  }

  #add(backing: SlotBacking, change: number): void {
    const faults = (this.#faults.get(backing) ?? 0) + change;
    if (faults === 0) this.#faults.delete(backing);
    else this.#faults.set(backing, faults);
  }
}
