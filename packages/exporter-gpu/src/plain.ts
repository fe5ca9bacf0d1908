/** The contracts in which the exporter maps and a run is a DMA address: Linux 6.13 and 7.3. */
import type { DmaBufOps } from "@dma-buf/core";
import { attachable, whyNotByAddress } from "./attach.js";
import type { OwnedBo } from "./buffer-object.js";
import { cpuSide } from "./cpu-side.js";
import { fabricInterface } from "./fabric-address.js";
import type { Gpu } from "./gpu.js";
import { pinnable } from "./placement.js";
import { mappable, plainVram, ramTable } from "./tables.js";

/** As posted nobody is refused at attach: what does not work fails when it is mapped. */
export function plainOps(gpu: Gpu, bo: OwnedBo): Omit<DmaBufOps, "release"> {
  return {
    ...attachable(gpu, bo, { whyNoPeer: whyNotByAddress, refusesHere: !gpu.options.asPosted }),
    ...pinnable(gpu, bo),
    ...mappable(gpu, bo, { vram: plainVram, gtt: ramTable() }),
    ...cpuSide(gpu, bo),
    ...fabricInterface(gpu, bo),
  };
}
