/**
 * A guest moves its BAR. The register is the guest's alone: on the host the BAR stays where it is, and it is the VMM that
 * has to take it away from the address at which the guest's devices had it.
 */
import { addr, type DmaAddr, hex } from "@dma-buf/core";
import * as v from "valibot";
import type { Acts } from "../actor.js";
import type { Stage } from "../stage.js";
import type { DmaActs } from "./dma-acts.js";
import type { IoRange } from "./io-mapper.js";

/** By how much, bytes. */
const MOVE_BYTES = 0x10_0000_0000;

export const movedBarActions = {
  /** The guest writes another address into the BAR's register. The VMM maps it anew; as posted, it has not acted yet. */
  "guest-moves-bar": v.strictObject({}),
  /** A device of the guest writes where the BAR was. */
  "write-old-address": v.strictObject({}),
};

export function movedBarActs(stage: Stage, dma: DmaActs): Acts<typeof movedBarActions> {
  const { judge, cast } = stage;
  const { mapper } = dma;
  let old: IoRange | null = null;
  return {
    *"guest-moves-bar"() {
      old = dma.range;
      if (cast.importerAsPosted) return;
      yield* mapper.unmap(old);
      yield* mapper.map(dma.buf, { ...old, iova: addr<DmaAddr>(old.iova + MOVE_BYTES) });
    },
    *"write-old-address"() {
      const { iova } = old ?? dma.range;
      const { kind } = yield* mapper.device.write(iova, judge.pattern(64));
      const text = `${mapper.name} writes to IOVA ${hex(iova)}, where the guest has no BAR any more`;
      if (kind === "done") judge.mark("STALE", { kind: "bytes", id: "I2", text: `${text}: it arrived in the BAR` });
      else judge.good({ kind: "iommu", id: mapper.device.name, text: `${text}: it is stopped` });
    },
  };
}
