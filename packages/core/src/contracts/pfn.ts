/** The RFC of 7 January 2025 as posted (Xu Yilun, patch 01/12): the importer asks for PFNs and maps itself. */
import { type Contract, defineContract, type Row } from "../contract.js";
import { pfnWindow } from "./window.js";
import { dmaAddress } from "./dma-address.js";

const source = "RFC PATCH 01/12, 20250107142719.179636-1, dma-buf: Introduce dma_buf_get_pfn_unlocked() kAPI";

/** The exporter's callback, as posted; the locked contract has it too. */
export const getPfnRow: Row = {
  id: "pfn/get_pfn",
  party: "exporter",
  stage: "query",
  does: "Tells the page frame at a page offset, and how large an aligned run around it may be mapped.",
  presence: "optional",
  resv: "held",
  inside: "leaves",
  maySleep: true,
  owner: "nobody: a number, true while the reservation is held",
  errors: {
    EINVAL: "page offset beyond the end",
    ENODEV: "revoked",
    EOPNOTSUPP: "the memory has no page frame; a reading, since the RFC names no errno",
    ENOMEM: "no memory to move it to where it has one",
    EBUSY: "asked from inside invalidate, while it moves",
  },
  findings: [],
  kernelName: { "6.13": "get_pfn", "7.3": "get_pfn" },
  source,
};

/**
 * Xu Yilun's RFC as posted, with its defects named.
 * @example
 * pfn.defects[0].id; // "pfn/defect-null-attach"
 */
export const pfn: Contract = defineContract(dmaAddress, {
  id: "pfn",
  title: "The importer asks for a CPU page frame number per page offset and maps it itself (RFC, January 2025).",
  change: {
    mapDmaBuf: { presence: "optional", source },
    unmapDmaBuf: { presence: "optional", source },
    dynamicAttach: {
      source,
      errors: {
        ...dmaAddress.rows.dynamicAttach?.errors,
        EINVAL: "no device although the exporter maps, or dynamic without move_notify",
      },
    },
  },
  add: {
    getPfn: getPfnRow,
    getPfnUnlocked: {
      id: "pfn/dma_buf_get_pfn_unlocked",
      party: "framework",
      stage: "query",
      does: "Takes the reservation, asks the exporter, gives it back.",
      presence: "mandatory",
      resv: "free",
      inside: "takes",
      maySleep: true,
      owner: "nobody: there is no put; after move_notify the PFN is dead, and the core cannot see who keeps it",
      errors: { EINVAL: "the exporter has no get_pfn", ENOENT: "dynamic exporter without CONFIG_DMABUF_MOVE_NOTIFY" },
      findings: ["the exporter has no get_pfn", "the reservation is held: it waits for itself"],
      kernelName: { "6.13": "dma_buf_get_pfn_unlocked" },
      source,
    },
  },
  lifeCycle: {
    attached: ["mapAttachment", "getPfnUnlocked", "pinAttachment", "unpinAttachment", "detachAttachment"],
    mapped: ["mapAttachment", "unmapAttachment", "getPfnUnlocked", "pinAttachment", "unpinAttachment"],
  },
  policy: { device: "unless-no-map", backing: ["mapDmaBuf", "getPfn"] },
  defects: [
    { id: "pfn/defect-null-attach", what: "the attachment is read before it is tested for NULL: an oops", source },
    {
      id: "pfn/defect-pin-leak",
      what: "a static importer's pin is forgotten at detach if the exporter does not map",
      source,
    },
    {
      id: "pfn/defect-no-fence-wait",
      what: "the page frame is told although a KERNEL fence still moves the memory",
      source,
    },
    {
      id: "pfn/defect-reset-stays-revoked",
      what: "after a function level reset the exporter revokes again where it should give back: the buffer is dead",
      source: "RFC PATCH 04/12, 20250107142719.179636-5; fixed up in the repost of May 2025",
    },
  ],
  *open(fw, at) {
    return pfnWindow(fw, at, "free");
  },
});
