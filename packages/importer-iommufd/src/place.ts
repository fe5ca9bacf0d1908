/** What variants share: who attaches and looks, where runs lie for a domain's table, and how memory is accessed there. */
import { checkedWindow } from "@dma-buf/scatterlist";
import { type BufferPath, unusable } from "./buffer-path.js";

/** Attaches without a device, and sees what the contract shows to one that has none. */
export const deviceless: Pick<BufferPath, "device" | "open"> = {
  device: null,
  open: ({ fw }, at) => checkedWindow(fw, at, "bidirectional"),
};

/**
 * A page frame goes into the table as it is. Whether it is RAM nobody says, so the kernel's own map of memory is asked:
 * what is no RAM is mapped as device memory. A reading, as KVM does it.
 */
export const byFrame: BufferPath["place"] = ({ host }, run) => {
  if (run.kind !== "cpu-physical") throw unusable(run);
  return { physical: run.address, cache: host.memory.isRam(run.address) ? null : "uc" };
};

/** Page frames, asked for as the contract has it: that is the only difference between `pfn` and `pfn-locked`. */
export const frames: BufferPath = { ...deviceless, place: byFrame, endStage: "query" };
