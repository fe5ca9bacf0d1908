/** What a change of slots does to the rest of the VM. */
import type { Framework, Op } from "@dma-buf/core";
import { DmaBufPages, type Placing } from "./dma-buf-source.js";
import { invalidateSlot } from "./invalidating.js";
import type { SlotBacking } from "./memslot.js";
import type { ProcessFiles } from "./process-files.js";
import type { RegionRules } from "./region.js";
import type { SlotWorld } from "./set-region.js";
import type { Vm } from "./vm.js";

export interface SlotWorldInit {
  readonly fw: Framework;
  readonly vm: Vm;
  /** The VM as exporters know it. */
  readonly identity: object;
  readonly rules: RegionRules;
  readonly files: ProcessFiles;
  readonly buffers: Map<SlotBacking, DmaBufPages>;
  readonly placing: Placing;
  /** Sleeps until no MMU notifier is under way: one that is did not tell of a slot that comes now. */
  readonly quiet: () => Op<void>;
}

const ALLOC = {
  id: "kvm/memslot",
  op: "kvm_alloc_memslot",
  stage: "memslot",
  source: "Linux 7.3, virt/kvm/kvm_main.c",
} as const;

export function slotWorld({ fw, vm, identity, rules, files, buffers, placing, quiet }: SlotWorldInit): SlotWorld {
  return {
    slots: vm.slots,
    rules,
    vm: identity,
    file: (fd) => files.get(fd),
    alloc: () => fw.env.alloc(ALLOC),
    *bind(slot) {
      const { backing } = slot;
      if (backing.kind !== "dma-buf") return yield* quiet();
      const pages = yield* DmaBufPages.open(fw, backing.buf, vm.name, placing, function* () {
        fw.trace.emit("callback", () => `${vm.name}: slot ${slot.id} is zapped`);
        yield* invalidateSlot(vm, slot);
      });
      buffers.set(backing, pages);
    },
    *unbind({ backing }) {
      const pages = buffers.get(backing);
      buffers.delete(backing);
      if (pages) yield* pages.close();
    },
    *zap(slot) {
      // Faults that looked before the change are through, and cannot install for the old slot any more.
      yield* vm.faulting.synchronize(slot);
      yield* invalidateSlot(vm, slot);
      yield* quiet();
    },
  };
}
