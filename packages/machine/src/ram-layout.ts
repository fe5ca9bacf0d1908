/** Where RAM lies on a host whose capture does not say: away from everything that its functions claim. */
import { addr, type PhysAddr } from "@dma-buf/core";
import type { Topology } from "@dma-buf/pci";
import type { RamRange } from "./physical.js";

const BYTES_MAX = 2 * 2 ** 30;
/** Less than this below the lowest BAR, and RAM lies above the highest instead. */
const BYTES_MIN = 2 ** 30;
const ALIGN = 4 * 2 ** 30;

/** From zero to the lowest BAR or window, as on a PC; above them all where they begin too low, as on some Arm hosts. */
export function ramOf(topology: Topology, bytesMax: number = BYTES_MAX): RamRange {
  const claimed = topology.functions.flatMap((fn) => [
    ...fn.bars.filter((bar) => bar.space === "memory" && bar.enabled && bar.base > 0),
    ...(fn.bridge?.windows ?? []).filter((window) => window.kind !== "io" && window.base > 0),
  ]);
  const lowest = claimed.reduce((low, { base }) => Math.min(low, base), bytesMax);
  if (lowest >= BYTES_MIN) return { base: addr<PhysAddr>(0), sizeBytes: lowest };
  const end = claimed.reduce((high, { base, sizeBytes }) => Math.max(high, base + sizeBytes), 0);
  return { base: addr<PhysAddr>(Math.ceil(end / ALIGN) * ALIGN), sizeBytes: bytesMax };
}
