/**
 * What the GPU is told may be its own memory, shown by the BAR of one of its virtual functions: then it need not go over the
 * bus. Whoever chose the offset into the BAR knows nothing of slices, so that what lies behind one is refused here.
 */
import { addr, type Device, type FabricAddr, hex, type Run } from "@dma-buf/core";
import type { Reached } from "@dma-buf/scatterlist";
import type { GpuHost } from "./host.js";
import { refuse } from "./refuse.js";

/**
 * @param checksSlice a fault to inject where it is false
 * @returns `null`: it is no memory of its own, as far as it can tell
 * @throws DmaBufError `EINVAL` at stage `map`: it begins in the BAR, and ends behind the slice
 */
export function ownMemory(host: GpuHost, run: Run, checksSlice: boolean): Reached | null {
  const { device, fabric, virtualFunctions = [] } = host;
  for (const { name, bar, busOffsetBytes, slice } of fabric ? virtualFunctions : []) {
    const offset = (physicalOf(device, run, busOffsetBytes) ?? -1) - bar.physical;
    if (offset < 0 || offset >= bar.sizeBytes) continue;
    if (checksSlice && offset + run.sizeBytes > slice.sizeBytes) {
      const what = `${hex(run.sizeBytes)} bytes at ${hex(offset)} of the BAR of ${name}`;
      const message = `${what} end behind the ${hex(slice.sizeBytes)} bytes that it was given: export less`;
      refuse("EINVAL", "reach", "map", message, { offset, sizeBytes: run.sizeBytes });
    }
    return { address: addr<FabricAddr>(slice.base + offset), release() {} };
  }
  return null;
}

/** Where the CPU sees it; `null`: nobody says, or it is memory that this driver has no business in. */
function physicalOf({ spaces }: Device, run: Run, busOffsetBytes: number): number | null {
  if (run.kind === "dma" || run.attributes?.owner) return null;
  if (run.kind === "cpu-physical") return run.address;
  const isOnBus = run.kind === "pci-bus" && spaces.some((s) => s.kind === "pci-bus" && s.bridge === run.bridge);
  return isOnBus ? run.address + busOffsetBytes : null;
}
