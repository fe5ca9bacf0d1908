/** Where runs lie for a domain's table, and how memory is accessed there. */
import { type BufferPath, unusable } from "./buffer-path.js";

/**
 * A page frame goes into the table as it is. Whether it is RAM nobody says, so the kernel's own map of memory is asked:
 * what is no RAM is mapped as device memory. A reading, as KVM does it.
 */
export const byFrame: BufferPath["place"] = ({ host }, run) => {
  if (run.kind !== "cpu-physical") throw unusable(run);
  return { physical: run.address, cache: host.memory.isRam(run.address) ? null : "uc" };
};
