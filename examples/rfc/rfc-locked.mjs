/**
 * A fix for it: the importer holds the reservation from the question until the entry is installed, so no revoke comes in
 * between. Against the series it is one call: `dma_buf_get_pfn_unlocked()` goes, `dma_buf_get_pfn()` comes.
 */
import { defineContract, pfnWindow } from "@dma-buf/core";
import { calls, contract as rfc } from "./rfc-january-2025.mjs";

const source = "a fix for the RFC of January 2025: the lock moves to the caller";

export const contract = defineContract(rfc, {
  id: "rfc-locked",
  title: "As the series, but asked and installed under one hold of the reservation.",
  remove: ["getPfnUnlocked"],
  add: {
    getPfnAttachment: {
      ...rfc.rows.getPfnUnlocked,
      id: "rfc-locked/dma_buf_get_pfn",
      does: "Asks the exporter; the answer is true until the reservation is given back.",
      resv: "held",
      inside: "leaves",
      owner: "nobody: given up when move_notify returns",
      errors: { EINVAL: "no get_pfn" },
      findings: ["no get_pfn", "the reservation is not held"],
      kernelName: { 6.13: "dma_buf_get_pfn" },
      source,
    },
  },
  lifeCycle: calls("getPfnAttachment"),
  *open(framework, attachment) {
    return pfnWindow(framework, attachment, "held");
  },
});
