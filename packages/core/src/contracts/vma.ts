/**
 * What KVM does today, without dma-buf: it takes the page frame out of a CPU mapping of the BAR, and a notifier tells
 * it when that entry goes. Written as a contract over the same calls, so that it can stand beside the others.
 */
import { type Contract, defineContract } from "../contract.js";
import { vmaWindow } from "./window.js";
import { beginRace, dmaAddress } from "./dma-address.js";

const source = "Linux 6.13, virt/kvm/kvm_main.c: kvm_follow_pfn(), mmu_notifier_ops; mm/memory.c";

/**
 * Today's way around: the importer reads page frames out of a CPU mapping.
 * @example
 * vma.rows.mmap.presence; // "mandatory"
 */
export const vma: Contract = defineContract(dmaAddress, {
  id: "vma",
  title: "The importer takes page frames out of a CPU mapping, and an MMU notifier tells it when they go (6.13).",
  remove: [
    ...(["pin", "unpin", "mapDmaBuf", "unmapDmaBuf", "pinAttachment", "unpinAttachment"] as const),
    ...(["mapAttachment", "unmapAttachment", "mapAttachmentUnlocked", "unmapAttachmentUnlocked"] as const),
  ],
  change: {
    mmap: {
      presence: "mandatory",
      does: "Fills a CPU mapping, or gives the handler that fills it at a fault.",
      errors: { EINVAL: "not mappable", ENODEV: "revoked", EFAULT: "a page is empty, and nobody fills it" },
      source,
    },
    staticAttach: { kernelName: { "6.13": "mmap" }, source },
    dynamicAttach: { does: "Registers a notifier.", kernelName: { "6.13": "mmu_notifier_register" }, source },
    detachAttachment: {
      findings: ["not attached here", "the reservation is held, and the call takes it"],
      does: "Takes the notifier away.",
      kernelName: { "6.13": "mmu_notifier_unregister" },
      source,
    },
    invalidateMappings: { kernelName: { "6.13": "invalidate_range_start" }, source },
    invalidate: {
      does: "Clears the CPU's entries; each notifier is called.",
      kernelName: { "6.13": "unmap_mapping_range" },
      source,
    },
  },
  defects: [beginRace],
  lifeCycle: { attached: ["detachAttachment"], mapped: [] },
  policy: { device: "optional", backing: ["mmap"], drain: [] },
  *open(fw, at) {
    return yield* vmaWindow(fw, at);
  },
});
