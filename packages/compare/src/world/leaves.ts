/** How many leaves a page table needs for memory, at best. */
import type { PhysRange } from "./content.js";

/** Over `ranges`, one behind the other from `va` on, with leaves of these sizes: ascending, log2. */
export function fewestLeaves(va: number, ranges: readonly PhysRange[], sizesLog2: readonly number[]): number {
  const sizes = sizesLog2.map((log2) => 2 ** log2).toReversed();
  let [at, leaves] = [va, 0];
  for (const { base, sizeBytes } of ranges)
    for (let done = 0; done < sizeBytes; leaves++) {
      const fits = (size: number): boolean => at % size === 0 && (base + done) % size === 0 && done + size <= sizeBytes;
      const size = sizes.find(fits) as number;
      done += size;
      at += size;
    }
  return leaves;
}
