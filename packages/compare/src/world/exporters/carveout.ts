/** Memory that devices reach by an address of the bus, and no CPU by any: a carve-out behind a firewall of the SoC. */
import { type DmaBufOps, DmaBufError } from "@dma-buf/core";
import * as v from "valibot";
import { exporterKind } from "../actor.js";
import { withOps } from "./changed-ops.js";
import { playVfio, vfioPci } from "./vfio-pci.js";

/** Tables are as good as those of a BAR; there is no page frame to tell, and nothing to map into a process. */
export const carveout = exporterKind({
  package: vfioPci.package,
  options: v.strictObject({}),
  actions: vfioPci.actions,
  create: (stage) => playVfio(stage, v.parse(vfioPci.options, {}), withOps(stage.framework, withoutCpuAddress)),
});

function withoutCpuAddress(ops: DmaBufOps): DmaBufOps {
  return {
    ...ops,
    ...(ops.getPfn ? { getPfn: () => refuse("get_pfn", "query") } : {}),
    ...(ops.mmap ? { mmap: () => refuse("mmap", "mmap") } : {}),
  };
}

function refuse(op: string, stage: "query" | "mmap"): never {
  const message = "this memory has no CPU address: let the exporter map it for a device";
  throw new DmaBufError("ENXIO", { op, stage, message });
}
