/**
 * Xu Yilun's series of January 2025 as a module: what it changes of Linux 6.13, and nothing else. Written from the
 * series alone, as its author would; the column `pfn` that comes with the comparison is another hand's.
 * Of get_pfn's errnos its vfio patch has EINVAL and ENODEV; the other three are a reading, as the series lists none.
 */
import { defineContract, dmaAddress, pfnWindow } from "@dma-buf/core";

const source = "[RFC PATCH 01/12] dma-buf: Introduce dma_buf_get_pfn_unlocked() kAPI, 20250107142719.179636-2";

/** The exporter's new callback. */
export const getPfn = {
  id: "rfc-january-2025/get_pfn",
  party: "exporter",
  stage: "query",
  does: "Answers the page frame at a page offset, and the largest order at which it may be mapped.",
  presence: "optional",
  resv: "held",
  inside: "leaves",
  maySleep: true,
  owner: "nobody",
  errors: {
    EINVAL: "beyond the end",
    ENODEV: "revoked",
    EOPNOTSUPP: "no page frame",
    ENOMEM: "no memory",
    EBUSY: "moving",
  },
  findings: [],
  kernelName: { 6.13: "get_pfn" },
  source,
};

/** The importer's new call: it takes the reservation, asks, and gives it back. */
const getPfnUnlocked = {
  id: "rfc-january-2025/dma_buf_get_pfn_unlocked",
  party: "framework",
  stage: "query",
  does: "Takes the reservation, asks the exporter, and gives it back before it answers.",
  presence: "mandatory",
  resv: "free",
  inside: "takes",
  maySleep: true,
  owner: "nobody: there is no put",
  errors: { EINVAL: "no get_pfn", ENOENT: "dynamic, and the kernel has no move_notify" },
  findings: ["no get_pfn", "the reservation is held"],
  kernelName: { 6.13: "dma_buf_get_pfn_unlocked" },
  source,
};

/** An attachment asks, pins and unpins; mapping is for those exporters that still map. */
export const calls = (ask) => ({
  attached: ["mapAttachment", ask, "pinAttachment", "unpinAttachment", "detachAttachment"],
  mapped: ["mapAttachment", "unmapAttachment", ask, "pinAttachment", "unpinAttachment"],
});

export const contract = defineContract(dmaAddress, {
  id: "rfc-january-2025",
  title: "The importer asks for page frames, holding nothing, and maps them itself.",
  change: { mapDmaBuf: { presence: "optional", source }, unmapDmaBuf: { presence: "optional", source } },
  add: { getPfn, getPfnUnlocked },
  lifeCycle: calls("getPfnUnlocked"),
  policy: { device: "unless-no-map", backing: ["mapDmaBuf", "getPfn"] },
  *open(framework, attachment) {
    return pfnWindow(framework, attachment, "free");
  },
});
