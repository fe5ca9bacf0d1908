/** Callbacks that do what they must, and then throw what is no refusal. */
import type { ExporterCall } from "@dma-buf/core";
import type { Lie } from "./lie.js";

const throwing = (name: string, what: string, throwsIn: ExporterCall, later = false): Lie => ({
  name: `throws-in-${name}`,
  title: `it throws what is no refusal out of ${what}`,
  throwsIn,
  later,
});

/** Who detaches or unmaps is rid of it all the same: those cannot refuse. */
export const throws: readonly Lie[] = [
  throwing("attach", "its attach", "attach"),
  throwing("pin", "its pin", "pin"),
  throwing("unmap", "its unmap_dma_buf", "unmapDmaBuf", true),
  throwing("detach", "its detach", "detach", true),
];
