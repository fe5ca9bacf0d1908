/** What is wrong in `dma_buf_phys_vec_to_sgt()` and its free of Linux 7.3.4. Each is booked when it bites, not before. */
import type { Device } from "@dma-buf/core";
import { sizeOf } from "@dma-buf/scatterlist";
import type { VfioDmaBuf } from "./buffer.js";
import type { HowToMap } from "./serve.js";

export function upstreamBugs(priv: VfioDmaBuf): HowToMap {
  const { fw, host } = priv.owner;
  const bites = (defect: string, message: string): boolean => fw.defect(defect, message, "exporter");
  return {
    options: (device) => ({
      linkAt: (linked) =>
        linked > 0 && bites("iova-offset-zero", `a range behind ${linked} bytes of ${host.name} is linked at 0`)
          ? 0
          : linked,
      checkMask: !(isBeyondMask(priv, device) && bites("no-mask-check", device.name)),
    }),
    losesEntries: () => bites("entry-array-leak", `a table of ${sizeOf(priv.vecs)} bytes of ${host.name}`),
  };
}

/** Would the device be given a bus address that it cannot drive? */
function isBeyondMask({ provider, vecs }: VfioDmaBuf, device: Device): boolean {
  if (provider.verdict(device).mapType !== "bus-address") return false;
  const end = 2 ** device.dma.maskBits + provider.busOffsetBytes;
  return vecs.some(({ physical, sizeBytes }) => physical + sizeBytes > end);
}
