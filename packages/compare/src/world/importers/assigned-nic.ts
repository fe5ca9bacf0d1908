/** The NIC of a process that has it assigned: vfio type1 maps for it what the process has mapped itself. */
import type { Op } from "@dma-buf/core";
import { NotApplicable } from "../actor.js";
import { type DmaActs, IOVA_BASE } from "./dma-acts.js";
import type { NicActor } from "./nic-actions.js";

export function assignedNic(dma: DmaActs): NicActor {
  let later: Op<void> = nothing();
  return {
    acts: {
      *import({ prefetch, ...args }) {
        const mapping = dma.import({ ...args, iova: IOVA_BASE });
        if (prefetch) yield* mapping;
        else later = mapping;
      },
      prefetch: () => later,
      "query-holding-reservation": () => never("knows no reservation"),
      "look-into-table": () => never("has no translation table in the device"),
      "try-import": () => never("has one mapping here"),
      "import-besides": () => never("has one mapping here"),
      churn: () => never("has one mapping here"),
      detach: () => dma.mapper.unmap(dma.range),
      ...dma.access,
    },
    close: () => dma.mapper.close(),
  };
}

function never(what: string): never {
  throw new NotApplicable(`type1 ${what}`);
}

function* nothing(): Op<void> {}
