/** What KVM does today: the slot is over a mapping of the process, and the MMU notifier tells when its pages go. */
import type { Place } from "./dma-buf-source.js";
import { type KvmFactory, type KvmPlugin, factory, physicalOf, plugin } from "./variant.js";

/** The mapping's protection says how its owner wants the frame to be cached. */
const byMapping: Place = (run) => ({
  physical: physicalOf(run),
  cache: run.kind === "cpu-physical" ? (run.attributes?.cache ?? null) : null,
});

const byFrame: Place = (run) => ({ physical: physicalOf(run), cache: null });

/** Second stages of x86, by their format. */
const X86: readonly string[] = ["ept", "npt"];

/**
 * `kvmImporter(options)(framework, host)`. KVM that is merged follows the protection on Arm, and goes by the frame on x86.
 */
export const kvmImporter: KvmFactory = factory({
  place: byMapping,
  slotOver: "mapping",
  posted: "merged",
  postedPlace: ({ table }) => (X86.includes(table.format.id) ? byFrame : byMapping),
});

export const dmaBufPlugin: KvmPlugin = plugin(kvmImporter, "vma");
