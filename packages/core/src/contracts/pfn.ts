/** The RFC of 7 January 2025 as posted (Xu Yilun, patch 01/12): the importer asks for PFNs and maps itself. */
import { defineContract, type Contract } from "../contract.js";
import { dmaAddress } from "./dma-address.js";
import { pfnWindow } from "./window.js";

const source = "RFC PATCH 01/12, 20250107142719.179636-1, dma-buf: Introduce dma_buf_get_pfn_unlocked() kAPI";

export const pfn: Contract = defineContract(dmaAddress, {
  id: "pfn",
  title: "The importer asks for a CPU page frame number per page offset and maps it itself (RFC, January 2025).",
  change: {
    mapDmaBuf: { presence: "optional", source },
    unmapDmaBuf: { presence: "optional", source },
    dynamicAttach: {
      source,
      errors: { EINVAL: "no device although the exporter maps, or dynamic without move_notify", ENOMEM: "no memory" },
    },
  },
  add: {
    getPfn: {
      id: "pfn/get_pfn",
      party: "exporter",
      presence: "optional",
      resv: "held",
      maySleep: true,
      owner: "nobody: a number, true while the reservation is held",
      errors: { EINVAL: "page offset beyond the end", ENODEV: "revoked" },
      kernelName: { "6.13": "get_pfn" },
      source,
    },
    getPfnUnlocked: {
      id: "pfn/dma_buf_get_pfn_unlocked",
      party: "framework",
      presence: "mandatory",
      resv: "free",
      maySleep: true,
      owner: "nobody: there is no put; after move_notify the PFN is dead",
      errors: { EINVAL: "the exporter has no get_pfn", ENOENT: "dynamic exporter without CONFIG_DMABUF_MOVE_NOTIFY" },
      kernelName: { "6.13": "dma_buf_get_pfn_unlocked" },
      source,
    },
  },
  lifeCycle: {
    attached: ["mapAttachment", "getPfnUnlocked", "pinAttachment", "unpinAttachment", "detachAttachment"],
    mapped: ["mapAttachment", "unmapAttachment", "getPfnUnlocked", "pinAttachment", "unpinAttachment"],
  },
  policy: { device: "unless-no-map", backing: ["mapDmaBuf", "getPfn"] },
  *open(fw, at) {
    return pfnWindow(fw, at);
  },
});
