/**
 * What both sides came to by 20 January 2025: page frames, asked for with the reservation held and under the rules of
 * revoke. Never posted as code; written here over Linux 7.3.
 */
import { type Contract, defineContract } from "../contract.js";
import { pfnWindow } from "./window.js";
import { linux73 } from "./linux-7.3.js";
import { getPfnRow } from "./pfn.js";

const source = "20250120175901.GP5556 (Gunthorpe), c10ae58f (König), Z5BxI3ef (Xu); derived";

/**
 * What both sides came to: page frames, under the reservation and the rules of revoke.
 * @example
 * pfnLocked.rows.getPfnAttachment.resv; // "held"
 */
export const pfnLocked: Contract = defineContract(linux73, {
  id: "pfn-locked",
  title: "As pfn, but asked with the reservation held, under the revoke rules of Linux 7.3 (agreed, never posted).",
  change: {
    mapDmaBuf: { presence: "optional", source },
    unmapDmaBuf: { presence: "optional", source },
    invalidateMappings: { presence: "mandatory", source },
    dynamicAttach: {
      findings: ["no buffer, or dynamic without invalidate_mappings", "the reservation is held, and the call takes it"],
      errors: { EINVAL: "no buffer, or dynamic without invalidate_mappings", ENOMEM: "no memory" },
      source,
    },
  },
  add: {
    getPfn: { ...getPfnRow, id: "pfn-locked/get_pfn", source },
    getPfnAttachment: {
      id: "pfn-locked/dma_buf_get_pfn",
      party: "framework",
      stage: "query",
      does: "Asks the exporter; the answer is true until the reservation is given back, or until invalidate.",
      presence: "mandatory",
      resv: "held",
      inside: "leaves",
      maySleep: true,
      owner: "nobody: a number; given up when invalidate_mappings returns, and the core cannot see who keeps it",
      errors: { EINVAL: "the exporter has no get_pfn" },
      findings: ["the exporter has no get_pfn", "the reservation is not held"],
      kernelName: { "7.3": "dma_buf_get_pfn" },
      source,
    },
  },
  lifeCycle: {
    attached: ["mapAttachment", "getPfnAttachment", "pinAttachment", "unpinAttachment", "detachAttachment"],
    mapped: ["mapAttachment", "unmapAttachment", "getPfnAttachment", "pinAttachment", "unpinAttachment"],
  },
  defects: [],
  policy: { device: "for-mapping", invalidate: "mandatory", backing: ["mapDmaBuf", "getPfn"] },
  *open(fw, at) {
    return pfnWindow(fw, at, "held");
  },
});
